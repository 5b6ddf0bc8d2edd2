"""When and by which code results were made."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import torch

import curenu

__all__ = ["code_digest", "origin"]

_PACKAGE = Path(curenu.__file__).parent


def origin(source: Path = Path(__file__).parent) -> dict[str, str | None]:
    """The `date` (UTC) and the `commit` of the checkout that `source` is in.

    "+" after the commit stands for changes that were not committed; None outside a checkout.
    """
    commit = _git(source, "rev-parse", "--short=12", "HEAD")
    if commit is not None and _git(source, "status", "--porcelain", "--untracked-files=no", "."):
        commit += "+"
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit}


@cache
def code_digest(package: Path = _PACKAGE) -> str:
    """One hash of all the code of the package and the version of torch.

    What a benchmark made by other code it makes again: no list of what matters can be trusted.
    """
    found = hashlib.sha256(torch.__version__.encode())
    for file in sorted(package.rglob("*.py")):
        found.update(file.relative_to(package).as_posix().encode() + b"\0")
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _git(folder: Path, *words: str) -> str | None:
    """What git says there, None where it is not installed or knows no repository."""
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
