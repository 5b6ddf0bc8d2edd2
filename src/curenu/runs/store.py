"""What keeps a run: an interface that knows of records and weights, not of files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import safetensors
import safetensors.torch

from curenu.errors import RunBroken, RunMoved
from curenu.networks import Shelf
from curenu.runs.evidence import Entry, Head, Line
from curenu.runs.ledger import RESTORE
from curenu.runs.records import Named, Packed, RunDescription, digest

__all__ = ["Holding", "RunStore", "check_follows", "unpack"]


@dataclass(frozen=True)
class Holding:
    """Weights that a store has or had: `name` is their hash, an oracle's that on the shelf."""

    kind: Literal["weights", "oracle"]
    name: str
    disposed: bool = False


class RunStore(Protocol):
    """The state of one run. A record is there with its weights, or neither is.

    `commit` is a compare-and-swap: it raises `RunMoved` and changes nothing unless `head` is
    the hash of the last record and the new one follows from it. Guarding by it alone, two
    writers never both succeed; `exclusive` only spares the second its work. Weights named in
    the record as disposed of are removed once it is there, and so are the subjects of the
    records `forget`.

    Raises `RunBroken` for what is corrupt or cannot be written, `RunBusy` for what is in use.
    """

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        ...

    def check_free(self) -> None:
        """Raise `RunBroken` unless a run can be created here."""
        ...

    def create(
        self, description: RunDescription, entry: Entry, weights: Sequence[Packed]
    ) -> None: ...
    def description(self) -> RunDescription: ...
    def lines(self, since: int = 0, until: int | None = None) -> list[Line]:
        """The records from number `since` on and before `until`, in order, as texts."""
        ...

    def measures(self, since: int = 0, until: int | None = None) -> dict[int, str]:
        """The texts of their measures, by number."""
        ...

    def weights(self, name: str) -> Named: ...
    def holdings(self) -> tuple[Holding, ...]: ...
    def faults(self) -> list[str]:
        """What is wrong with the keeping, and weights and oracles that are not what was kept."""
        ...

    def commit(
        self, entry: Entry, weights: Sequence[Packed], *, head: str, forget: Collection[int] = ()
    ) -> None: ...
    def clear(self) -> None:
        """Remove what a killed writer left: weights without a record, and those disposed of."""
        ...

    @property
    def networks(self) -> Shelf:
        """Where retrained models are kept beside the run's own."""
        ...

    def exclusive(self) -> AbstractContextManager[None]: ...


def check_follows(entry: Entry, found: Head, head: str) -> None:
    """Raise `RunMoved` unless `entry` follows from the head that was found, `head` as well."""
    same = found.hash == head == entry.evidence.previous
    if not same or entry.evidence.number != found.number + 1:
        raise RunMoved(
            f"The run is at record {found.number} ({found.hash[:12]}), and this is the "
            f"successor of {head[:12]}.",
            "the same again, on the run as it is now.",
        )


def unpack(content: bytes, name: str, where: str) -> Named:
    """The tensors of a safetensors file, which must have the hash `name`."""
    if digest(content) != name:
        raise RunBroken(f"{where} is damaged: its content does not match its hash.", RESTORE)
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise RunBroken(f"{where} is no safetensors file: {error}.", RESTORE) from error
