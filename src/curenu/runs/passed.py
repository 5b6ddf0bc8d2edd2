"""Weights that a run's training passed through: put on record, and read for an erasure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curenu.checkpoints import Checkpoint
from curenu.runs.evidence import Passed
from curenu.runs.records import Packed, pack
from curenu.runs.store import RunStore

__all__ = ["packed", "still_kept"]


def packed(checkpoints: Sequence[Checkpoint]) -> tuple[tuple[Passed, ...], list[Packed]]:
    """(what the record of a training says of them, their files)."""
    told, files = [], []
    for checkpoint in checkpoints:
        assert isinstance(checkpoint.weights, Mapping), "recorded in memory"
        file = pack(checkpoint.weights)
        told.append(Passed(time=checkpoint.time, weights=file.name))
        files.append(file)
    return tuple(told), files


def still_kept(store: RunStore, passed: Sequence[Passed]) -> tuple[Checkpoint, ...]:
    """Those on record, from `store`; none where one was disposed of.

    A part of a training's course would stand for all of it.
    """
    if not passed:
        return ()
    held = {one.name for one in store.holdings() if one.kind == "weights" and not one.disposed}
    if any(one.weights not in held for one in passed):
        return ()
    return tuple(Checkpoint(one.time, store.weights(one.weights)) for one in passed)
