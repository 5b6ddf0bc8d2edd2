"""Files a person asked for by name."""

from __future__ import annotations

from pathlib import Path

from curenu.errors import BadRequest

__all__ = ["check_folder", "write_text"]


def check_folder(folder: Path) -> None:
    """Make `folder`, or raise `BadRequest` saying why it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"Cannot use {folder}: {error.strerror}.", "another folder.") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` at `path`, or raise `BadRequest` saying why that cannot be done."""
    try:
        path.write_text(text)
    except OSError as error:
        raise BadRequest(f"Cannot write {path}: {error.strerror}.", "another place.") from error
