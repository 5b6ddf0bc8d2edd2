"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["PARTIAL", "flush_folder", "replace_file"]

PARTIAL = ".partial"
"""Ending of a file that is not finished; a killed process may leave one."""


def replace_file(
    path: Path, content: bytes, *, private: bool = False, partial: Path | None = None
) -> None:
    """Put `content` at `path` at once and for good: written beside, flushed, renamed.

    `private` files are for their owner alone. `partial` is the name until then; each process
    has its own if it is not given. Raises `OSError` as the system gives it; what was at `path`
    is then still there.
    """
    partial = partial or path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(partial, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make what was renamed or removed in `folder` last; a system without that has none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
