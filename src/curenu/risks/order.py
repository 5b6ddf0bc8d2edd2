"""Whether examples keep their places when they are put together and passed through the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from curenu.data import Batch, leaves_of
from curenu.errors import UnsupportedModel
from curenu.risks.source import Named, Source

__all__ = ["by_example", "check_order"]

_PASSED = 8  # examples that are passed through the model alone


def check_order(source: Source, named: Named, batch: Batch) -> None:
    """Raise `UnsupportedModel` where row i of a batch is not the i-th example that was asked for.

    A `collate` that sorts by length does this. Weights, anchors and targets are looked up by
    the examples' places, and would be those of others.
    """
    if batch.size < 2:
        return
    parts = [source.examples.batch(one) for one in batch.ids.split(1)]
    each = [list(leaves_of(part.content)) for part in parts]
    for at, leaf in enumerate(leaves_of(batch.content)):
        alone = [leaves[at] for leaves in each if len(leaves) > at]
        if _rows(leaf, batch.size) and all(_rows(one, 1) for one in alone):
            _check_places(leaf, [one[0] for one in alone], batch.size)
    evaluation = source.evaluation
    if not evaluation.shows_outputs or evaluation.tokens is not None:
        return
    few = source.examples.batch(batch.ids[:_PASSED])
    outputs = source.outputs(named, few)
    single = [source.outputs(named, part) for part in parts[:_PASSED]]
    if _rows(outputs, few.size) and all(_rows(one, 1) for one in single):
        _check_places(outputs, [one[0] for one in single], few.size)


def by_example(source: Source, named: Named, batch: Batch, outputs: Tensor) -> bool:
    """Whether the first axis of `outputs` counts the examples of `batch`.

    A first axis of time can be as long by chance: another number of examples tells.
    """
    if outputs.ndim == 0 or len(outputs) != batch.size:
        return False
    if source.examples.size == 1:
        return True
    count = 1 if batch.size > 1 else 2
    other = source.outputs(named, source.examples.batch(torch.arange(count)))
    unchanged = isinstance(other, Tensor) and other.ndim > 0 and len(other) == len(outputs)
    return not unchanged


def _rows(leaf: object, count: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == count


def _check_places(rows: Tensor, alone: Sequence[Tensor], size: int) -> None:
    """Raise if a row is another example's: far from its own alone, and at one with another's."""
    if len(alone) != size:
        return
    scale = max((float(one.abs().max()) for one in alone if one.numel()), default=0.0)
    for place, row in enumerate(rows):
        own = _distance(row, alone[place])
        if own <= 1e-5 * scale:
            continue
        if any(_distance(row, other) < 0.1 * own for other in alone):
            raise UnsupportedModel(
                f"{size} examples come out in another order than they were asked for: `collate` "
                "or the model sorts them.",
                "a `collate` that keeps the order, and `pack_padded_sequence(..., "
                "enforce_sorted=False)`, which sorts and puts back.",
            )


def _distance(row: Tensor, alone: Tensor) -> float:
    """The largest difference, where the row has been padded over what is there alone."""
    if row.ndim != alone.ndim or any(a > r for a, r in zip(alone.shape, row.shape, strict=True)):
        return float("inf")
    here = row[tuple(slice(size) for size in alone.shape)]
    return float((here.double() - alone.double()).abs().max()) if alone.numel() else 0.0
