"""The oracles of a run folder: never used unless they are what was put on record."""

from __future__ import annotations

from dataclasses import dataclass

from curenu.distributed import by_first
from curenu.errors import RunBroken
from curenu.networks import FolderShelf
from curenu.runs.records import Packed, digest
from curenu.runs.weight_files import WeightFiles

__all__ = ["OracleShelf"]


@dataclass(frozen=True)
class OracleShelf(FolderShelf):
    """A shelf whose files have their hashes in the ledger, from when they were written.

    Raises `RunBroken`, naming the file, where one was changed since, or was never on record: it
    may have seen what was erased, or have been made to look close to the run's model.
    """

    files: WeightFiles

    @by_first
    def holds(self, name: str) -> bool:
        """Whether something is kept under that name; not what a killed writer left."""
        return super().holds(name) and self.files.state("oracle", name) != "pending"

    def read(self, name: str) -> bytes:
        """What is kept under that name, as it was written."""
        content = super().read(name)
        fault = self._fault(name, content)
        if fault is not None:
            raise RunBroken(fault, "deleting that file, which is then trained again.")
        return content

    @by_first
    def write(self, name: str, content: bytes) -> None:
        """Keep `content` in place of what was there, and its hash in the ledger with it."""
        self.files.write("oracle", [Packed(name, content)], lambda connection: None)

    def faults(self) -> list[str]:
        """A sentence for every file that is not what was put on record."""
        found = []
        for name in filter(self.holds, self.names()):
            fault = self._fault(name, super().read(name))
            found += [] if fault is None else [fault]
        return found

    def _fault(self, name: str, content: bytes) -> str | None:
        known = self.files.hash_of(name)
        if known is None:
            return f"{self.describe(name)} is an oracle that the ledger has no hash of."
        if digest(content) != known:
            return f"{self.describe(name)} was changed: it is not the oracle that was kept."
        return None
