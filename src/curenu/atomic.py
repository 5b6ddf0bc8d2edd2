"""Files that are there whole or not at all, and folders held by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from curenu.errors import RunBusy

__all__ = ["LOCK", "PARTIAL", "abandoned", "flush_folder", "held", "replace_file"]

LOCK = "lock"
"""Name of the file by which a folder is held."""

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
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
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


def abandoned(path: Path) -> list[Path]:
    """Unfinished files of `replace_file` for `path` whose process has ended."""
    ending = {part: part.name[len(path.name) + 1 : -len(PARTIAL)]
              for part in path.parent.glob(f"{path.name}.*{PARTIAL}")}  # fmt: skip
    return [
        part
        for part, process in ending.items()
        if process.isdigit() and not psutil.pid_exists(int(process))
    ]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` alone inside the block, by the file `lock` in it, which stays.

    The system lets go of it when the process dies. It spares a second writer its work: whoever
    deletes the file while it is held lets a second one in, and only what each of them checks
    where it writes keeps the two apart. Raises `RunBusy` at once when another holds it, `OSError`
    as the system gives it.
    """
    from filelock import FileLock, Timeout  # sixty milliseconds that most commands need not wait

    alone = FileLock(folder / LOCK, timeout=0, mode=0o600)
    try:
        alone.acquire()
    except Timeout as error:
        raise RunBusy(
            f"{folder} is in use by another process.", "waiting until it has ended."
        ) from error
    try:
        yield
    finally:
        alone.release()


def flush_folder(folder: Path) -> None:
    """Make what was renamed or removed in `folder` last, where folders can be opened.

    Windows cannot open a folder; its file system keeps a log of names of its own.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
