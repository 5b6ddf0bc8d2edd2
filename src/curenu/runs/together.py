"""A store that several processes of one computation share: the first writes for all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from curenu.distributed import by_first, held_by_first
from curenu.runs.evidence import Entry
from curenu.runs.records import Packed, RunDescription
from curenu.runs.store import RunStore

__all__ = ["FirstWrites"]


class FirstWrites:
    """What writes to `store`, done by the first process; the others wait for what came of it."""

    def __init__(self, store: RunStore) -> None:
        self.store = store

    @by_first
    def check_free(self) -> None:
        self.store.check_free()

    @by_first
    def create(self, description: RunDescription, entry: Entry, weights: Sequence[Packed]) -> None:
        self.store.create(description, entry, weights)

    @by_first
    def commit(
        self, entry: Entry, weights: Sequence[Packed], *, head: str, forget: Collection[int] = ()
    ) -> None:
        self.store.commit(entry, weights, head=head, forget=forget)

    @by_first
    def clear(self) -> None:
        self.store.clear()

    @held_by_first
    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self.store.exclusive():
            yield
