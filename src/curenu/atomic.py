"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["PARTIAL", "replace_file"]

PARTIAL = ".partial"
"""Ending of a file that is not finished; a killed process may leave one."""


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Put `content` at `path` at once and for good: written beside, flushed, renamed.

    `mode` are the file's permissions, those of the process unless given.
    Raises `OSError` as the system gives it; what was at `path` is then still there.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")  # each writer has its own
    try:
        with partial.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
