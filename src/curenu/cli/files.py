"""Files a person asked for by name."""

from __future__ import annotations

import os
from pathlib import Path

from curenu.atomic import replace_file
from curenu.errors import BadRequest

__all__ = ["check_place", "make_folder", "write_text"]


def check_place(path: Path) -> None:
    """Raise `BadRequest` unless a file can be written at `path`; nothing is written."""
    folder = path.parent
    if path.is_dir():
        raise BadRequest(f"{path} is a folder.", "the name of a file.")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BadRequest(f"Cannot write into {folder}.", "a folder that exists and may be written.")


def make_folder(folder: Path) -> None:
    """Make `folder`, or raise `BadRequest` saying why it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"Cannot use {folder}: {error.strerror}.", "another folder.") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` at `path`, whole or not at all, or raise `BadRequest` saying why not."""
    from curenu.distributed import by_first

    by_first(_write)(path, text)


def _write(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise BadRequest(f"Cannot write {path}: {error.strerror}.", "another place.") from error
