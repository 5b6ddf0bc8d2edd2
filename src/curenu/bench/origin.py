"""When and by which code results were made."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["origin"]


def origin(source: Path = Path(__file__).parent) -> dict[str, str | None]:
    """The `date` (UTC) and the `commit` of the checkout that `source` is in.

    "+" after the commit stands for changes that were not committed; None outside a checkout.
    """
    commit = _git(source, "rev-parse", "--short=12", "HEAD")
    if commit is not None and _git(source, "status", "--porcelain", "--untracked-files=no", "."):
        commit += "+"
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit}


def _git(folder: Path, *words: str) -> str | None:
    """What git says there, None where it is not installed or knows no repository."""
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
