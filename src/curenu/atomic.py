"""Files that are there whole or not at all, and held by one process at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["PARTIAL", "lock", "replace_file"]

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
    _flush_folder(path.parent)


def lock(handle: int) -> None:
    """Hold the open file `handle` alone until it is closed, by the means of the system.

    Raises `OSError` when another process holds it. Imported here: only one of the two is there.
    """
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _flush_folder(folder: Path) -> None:
    """Make a new name in `folder` outlast a failure of power, where folders can be opened.

    Windows cannot open a folder; its file system keeps a log of names of its own.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
