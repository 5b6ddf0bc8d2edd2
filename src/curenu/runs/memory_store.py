"""A run in memory, for tests and for what needs no folder."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from curenu.errors import Disposed, RunBroken, RunBusy
from curenu.networks import MemoryShelf
from curenu.runs.evidence import Entry, Head, Line
from curenu.runs.ledger import NO_RECORD
from curenu.runs.records import Named, Packed, RunDescription, digest
from curenu.runs.store import Holding, check_follows, unpack

__all__ = ["MemoryStore"]


class MemoryStore:
    """The `RunStore` that is gone with the process."""

    place = "this run in memory"

    def __init__(self) -> None:
        self.records: list[tuple[Line, str]] = []
        self._description: RunDescription | None = None
        self._content: dict[str, bytes | None] = {}
        self._gone: list[str] = []
        self.networks = MemoryShelf()
        self._writer, self._swap = threading.Lock(), threading.Lock()

    def check_free(self) -> None:
        if self.records:
            raise RunBroken("This store already holds a run.", "`Session.open`, or another store.")

    def create(self, description: RunDescription, entry: Entry, weights: Sequence[Packed]) -> None:
        with self._swap:
            self.check_free()
            self._description = description
            self._content |= {packed.name: packed.content for packed in weights}
            self.records.append((entry.line, entry.measures))

    def description(self) -> RunDescription:
        if self._description is None:
            raise RunBroken("This store holds no run.", "`Session.create` with it.")
        return self._description

    def lines(self, since: int = 0, until: int | None = None) -> list[Line]:
        return [line for line, _ in self.records[since:until]]

    def measures(self, since: int = 0, until: int | None = None) -> dict[int, str]:
        return {line.number: measures for line, measures in self.records[since:until]}

    def weights(self, name: str) -> Named:
        content = self._content.get(name)
        if content is None:
            raise Disposed(f"Weights {name[:12]} were disposed of.", "the current weights.")
        return unpack(content, name, f"weights {name[:12]}")

    def holdings(self) -> tuple[Holding, ...]:
        own = (Holding("weights", n, content is None) for n, content in self._content.items())
        kept = self.networks.names()
        oracles = (Holding("oracle", name) for name in kept)
        gone = (Holding("oracle", name, True) for name in self._gone if name not in kept)
        return (*own, *oracles, *gone)

    def faults(self) -> list[str]:
        return [
            f"Weights {name[:12]} are not what they are named."
            for name, content in self._content.items()
            if content is not None and digest(content) != name
        ]

    def commit(
        self, entry: Entry, weights: Sequence[Packed], *, head: str, forget: Collection[int] = ()
    ) -> None:
        with self._swap:
            last = self.records[-1][0] if self.records else None
            check_follows(entry, Head(last.number, last.hash) if last else NO_RECORD, head)
            self._content |= {packed.name: packed.content for packed in weights}
            for gone in entry.disposed:
                if gone.kind == "weights":
                    self._content[gone.name] = None
                else:
                    self.networks.remove(gone.name)
                    self._gone.append(gone.name)
            for number in forget:
                line, measures = self.records[number]
                self.records[number] = (line._replace(salt=None, subjects=None), measures)
            self.records.append((entry.line, entry.measures))

    def clear(self) -> None:
        """Nothing is ever left."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if not self._writer.acquire(blocking=False):
            raise RunBusy("This run is in use by another thread.", "waiting until it has ended.")
        try:
            yield
        finally:
            self._writer.release()
