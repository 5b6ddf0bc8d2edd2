"""Where trained networks are kept: named bytes, each there whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curenu.atomic import PARTIAL, abandoned, replace_file
from curenu.distributed import by_first
from curenu.errors import RunBroken

__all__ = ["FolderShelf", "MemoryShelf", "Shelf"]

_ENDING = ".safetensors"


class Shelf(Protocol):
    """Keeps bytes under a name. Of several processes the first writes and the others wait.

    Raises `RunBroken` for what cannot be read, written or deleted.
    """

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
            for part in abandoned(path):
                part.unlink(missing_ok=True)
            replace_file(path, content, private=True)  # it may have seen people who are erased
        except OSError as error:
            raise RunBroken(
                f"Cannot keep {path}: {error.strerror}.", "freeing space or another folder."
            ) from error

    @by_first
    def names(self) -> tuple[str, ...]:
        """Everything that is kept or was left half written, sorted; nothing of another kind."""
        found = {path.relative_to(self.folder) for path in self.folder.rglob(f"*{_ENDING}")}
        for part in self.folder.rglob(f"*{_ENDING}.*{PARTIAL}"):
            whole = part.relative_to(self.folder).with_name(
                part.name.partition(_ENDING)[0] + _ENDING
            )
            if part in abandoned(self.folder / whole):
                found.add(whole)
        return tuple(sorted(path.as_posix() for path in found))

    @by_first
    def remove(self, name: str) -> None:
        """Delete what is kept under that name; it may be gone already."""
        path = self.folder / name
        try:
            for part in (path, *abandoned(path)):
                part.unlink(missing_ok=True)
        except OSError as error:
            raise RunBroken(
                f"Cannot delete {path}: {error.strerror}.", "granting access."
            ) from error

    def describe(self, name: str) -> str:
        """Where that is, for a message."""
        return str(self.folder / name)


class MemoryShelf:
    """A `Shelf` that is gone with the process."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    def holds(self, name: str) -> bool:
        """Whether something is kept under that name."""
        return name in self._content

    def read(self, name: str) -> bytes:
        """What is kept under that name."""
        if name not in self._content:
            raise RunBroken(f"Nothing is kept as {self.describe(name)}.", "a name that is kept.")
        return self._content[name]

    def write(self, name: str, content: bytes) -> None:
        """Keep `content` in place of what was there."""
        self._content[name] = content

    def names(self) -> tuple[str, ...]:
        """Everything that is kept, sorted."""
        return tuple(sorted(self._content))

    def remove(self, name: str) -> None:
        """Delete what is kept under that name; it may be gone already."""
        self._content.pop(name, None)

    def describe(self, name: str) -> str:
        """What that is, for a message."""
        return f"{name} in memory"
