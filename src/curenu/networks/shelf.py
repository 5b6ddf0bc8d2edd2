"""Where trained networks are kept: named bytes, each there whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curenu.atomic import replace_file
from curenu.distributed import by_first
from curenu.errors import RunBroken

__all__ = ["FolderShelf", "Shelf"]

_ENDING = ".safetensors"
_OWNER_ONLY = 0o600  # networks that saw erased people are nobody else's to read


class Shelf(Protocol):
    """Keeps bytes under a name. Of several processes the first writes and the others wait."""

    def holds(self, name: str) -> bool: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None: ...
    def names(self) -> tuple[str, ...]: ...
    def remove(self, name: str) -> None: ...
    def describe(self, name: str) -> str: ...


@dataclass(frozen=True)
class FolderShelf:
    """A folder, made with the first thing that is kept; files are readable by their owner only.

    Raises `RunBroken` when a file cannot be read, written or deleted.
    """

    folder: Path

    @by_first
    def holds(self, name: str) -> bool:
        """Whether something is kept under that name."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        """What is kept under that name."""
        path = self.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise RunBroken(f"Cannot read {path}: {error.strerror}.", "granting access.") from error

    @by_first
    def write(self, name: str, content: bytes) -> None:
        """Keep `content` in place of what was there."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content, mode=_OWNER_ONLY)
        except OSError as error:
            raise RunBroken(
                f"Cannot keep {path}: {error.strerror}.", "freeing space or another folder."
            ) from error

    @by_first
    def names(self) -> tuple[str, ...]:
        """Everything that is kept, sorted; what is not of this shelf's kind is left out."""
        found = self.folder.rglob(f"*{_ENDING}")
        return tuple(sorted(path.relative_to(self.folder).as_posix() for path in found))

    @by_first
    def remove(self, name: str) -> None:
        """Delete what is kept under that name; it may be gone already."""
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RunBroken(
                f"Cannot delete {path}: {error.strerror}.", "granting access."
            ) from error

    def describe(self, name: str) -> str:
        """Where that is, for a message."""
        return str(self.folder / name)
