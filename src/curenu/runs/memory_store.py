"""A run in memory, for tests and for what needs no folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from curenu.errors import Disposed, RunBroken, RunBusy
from curenu.runs.evidence import Entry, Head, Line
from curenu.runs.ledger import NO_RECORD
from curenu.runs.records import Named, OracleRecord, Packed, RunDescription, digest
from curenu.runs.store import Holding, check_follows, unpack

__all__ = ["MemoryStore"]


class MemoryStore:
    """The `RunStore` that is gone with the process."""

    place = "this run in memory"

    def __init__(self) -> None:
        self.records: list[tuple[Line, str]] = []
        self._description: RunDescription | None = None
        self._content: dict[tuple[Literal["weights", "oracle"], str], bytes | None] = {}
        self._oracles: dict[str, OracleRecord] = {}
        self._writer, self._swap = threading.Lock(), threading.Lock()

    def check_free(self) -> None:
        if self.records:
            raise RunBroken("This store already holds a run.", "`Session.open`, or another store.")

    def create(self, description: RunDescription, entry: Entry, start: Packed) -> None:
        with self._swap:
            self.check_free()
            self._description = description
            self._content["weights", start.name] = start.content
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
        content = self._content.get(("weights", name))
        if content is None:
            raise Disposed(f"Weights {name[:12]} were disposed of.", "the current weights.")
        return unpack(content, name, f"weights {name[:12]}")

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(
            Holding(kind, name, content is None, self._made_from(kind, name))
            for (kind, name), content in self._content.items()
        )

    def _made_from(self, kind: str, name: str) -> Mapping[str, Any] | None:
        record = self._oracles.get(name) if kind == "oracle" else None
        return record.configuration if record else None

    def faults(self) -> list[str]:
        return [
            f"Weights {name[:12]} are not what they are named."
            for (kind, name), content in self._content.items()
            if kind == "weights" and content is not None and digest(content) != name
        ]

    def commit(
        self, entry: Entry, weights: Packed | None, *, head: str, forget: Collection[int] = ()
    ) -> None:
        with self._swap:
            last = self.records[-1][0] if self.records else None
            check_follows(entry, Head(last.number, last.hash) if last else NO_RECORD, head)
            if weights is not None:
                self._content["weights", weights.name] = weights.content
            for gone in entry.disposed:
                self._content[gone.kind, gone.name] = None
                self._oracles.pop(gone.name, None)
            for number in forget:
                line, measures = self.records[number]
                self.records[number] = (line._replace(salt=None, subjects=None), measures)
            self.records.append((entry.line, entry.measures))

    def clear(self) -> None:
        """Nothing is ever left."""

    def oracle(self, configuration: Mapping[str, Any]) -> tuple[OracleRecord, Named] | None:
        key = _key(configuration)
        content = self._content.get(("oracle", key))
        if content is None:
            return None
        record = self._oracles[key]
        return record, unpack(content, record.weights, "an oracle")

    def keep_oracle(
        self, configuration: Mapping[str, Any], weights: Packed, seconds: float
    ) -> OracleRecord:
        record = OracleRecord(
            configuration=dict(configuration), weights=weights.name, seconds=seconds
        )
        key = _key(configuration)
        self._oracles[key], self._content["oracle", key] = record, weights.content
        return record

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if not self._writer.acquire(blocking=False):
            raise RunBusy("This run is in use by another thread.", "waiting until it has ended.")
        try:
            yield
        finally:
            self._writer.release()


def _key(configuration: Mapping[str, Any]) -> str:
    return digest(json.dumps(dict(configuration), sort_keys=True).encode())
