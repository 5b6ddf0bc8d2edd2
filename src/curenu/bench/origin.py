"""When and by which code results were made."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import torch

import curenu
from curenu.bench.config import MethodConfig

__all__ = ["code_digest", "origin", "settings_of"]

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


def settings_of(method: MethodConfig) -> dict[str, str]:
    """Every setting of a method with its default filled in, as Python writes it.

    What tuning chooses is left out: cells have it as their arguments. A method that is no
    dataclass has the arguments that were given alone.
    """
    made = method.make(method.points()[0])
    found = dict(method.arguments)
    if dataclasses.is_dataclass(made):
        found |= {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.init}
    return {
        name: re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        for name, value in found.items()
        if name not in method.grid
    }


def _git(folder: Path, *words: str) -> str | None:
    """What git says there, None where it is not installed or knows no repository."""
    try:
        told = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
