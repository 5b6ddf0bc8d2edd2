"""What a loss does with several examples: found by comparing them alone and together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.losses import FunctionOfModel, FunctionOfOutputs
from curenu.losses.form import widest
from curenu.risks.source import Named, Source
from curenu.user_code import among

__all__ = ["FEW", "settle", "spread"]

FEW = 32
"""Examples that are enough to see whether data, model and loss repeat and fit together."""

_ALONE = 8  # examples, spread over the data, whose losses are compared alone and together
_MOST = 64  # of a user's function, whose scale is also looked at in a full micro-batch


def spread(ids: Tensor, count: int) -> Tensor:
    """`count` of `ids` at equal distances, the first and the last among them."""
    if len(ids) <= count:
        return ids
    places = torch.linspace(0, len(ids) - 1, max(count, 2)).round().long()[-count:]
    return ids[places]


def settle(source: Source, theta: Tensor) -> None:
    """Whether the loss of examples together is the sum, or the mean, of theirs alone.

    On examples spread over the data, over its classes, and in a full micro-batch: a mean that
    divides by anything else than their number (class weights) shows there.
    """
    form = source.evaluation.form
    everyone = torch.arange(source.examples.size)
    few = _varied(source, spread(everyone, _ALONE))
    named = source.named(theta)
    alone = [_given(source, named, one) for one in few.split(1)]
    own = isinstance(form, FunctionOfOutputs | FunctionOfModel)
    if not own:
        together = _given(source, named, few)
        _compare(source, few, float(sum(float(a) for a in alone)), float(together))
        _whole(source, named)
        return
    joint = _given(source, named, few)
    if joint.ndim:
        _declare(source, "none")
        _compare(source, few, float(sum(a.double().sum() for a in alone)), float(joint.sum()))
    else:
        _declare(source, _reduction(form.reduction, alone, joint))
        for size in (2, 5, 11):  # a draw whose make-up differs from that of the whole
            part = few[torch.arange(size) % len(few)] if len(few) >= size else None
            if part is not None:
                _same_scale(source, named, part)
        full = spread(everyone, min(source.micro_batch_size, _MOST))
        if len(full) > len(few):
            _same_scale(source, named, full)
    _whole(source, named)
    source.measured["widens"] = _widens(source, named, few)


def _given(source: Source, named: Named, ids: Tensor) -> Tensor:
    """The loss of the examples at `ids`: as a user's function returns it, else their sum."""
    batch = replace(source.batch(ids), weights=None)
    evaluation, form = source.evaluation, source.evaluation.form
    outputs = source.outputs(named, batch)
    if not isinstance(form, FunctionOfModel | FunctionOfOutputs):
        return evaluation.total(source.wide(outputs), batch)
    loss = outputs if isinstance(form, FunctionOfModel) else evaluation.given(outputs, batch)
    if loss.ndim and loss.shape != (len(ids),):
        raise BadRequest(
            f"The loss of {len(ids)} examples has shape {list(loss.shape)}.",
            "return a scalar, or one value per example.",
        )
    if not loss.isfinite().all():
        raise IllPosed(
            f"The loss is NaN or Inf at {among(ids)}.",
            "a loss bounded on this data, smaller weights, or float64.",
        )
    return loss


def _declare(source: Source, reduction: str) -> None:
    source.evaluation.form = replace(source.evaluation.form, reduction=reduction)  # type: ignore[arg-type]


def _reduction(declared: Any, alone: list[Tensor], joint: Tensor) -> str:
    """Sum or mean, as measured; as declared where both fit (losses of zero)."""
    total = sum(float(loss.double().sum()) for loss in alone)
    count, scale = len(alone), sum(float(loss.double().abs().sum()) for loss in alone)
    expected = {"sum": total, "mean": total / count}
    slack = 1e-3 * scale / count
    fitting = [name for name, value in expected.items() if abs(float(joint) - value) <= slack]
    if declared in fitting:
        return declared
    if declared in (None, "none") and (len(fitting) == 1 or (fitting and scale == 0.0)):
        return fitting[-1]
    raise BadRequest(
        f"The loss of {count} examples together, {float(joint):.6g}, is not the "
        f"{declared or 'sum or mean'} of their losses alone, {total:.6g} in sum.",
        "a loss that is a plain mean or sum over examples, or one value per example; class "
        "weights by `nn.CrossEntropyLoss(weight=...)` itself, tokens by "
        "`curenu.TokenCrossEntropy`.",
    )


def _same_scale(source: Source, named: Named, ids: Tensor) -> None:
    alone = [_given(source, named, one) for one in ids.split(1)]
    together = _given(source, named, ids)
    if together.ndim:
        raise BadRequest(
            f"The loss of {len(ids)} examples is one value each, and it was one number before.",
            "a loss that returns the same kind for every batch.",
        )
    _reduction(source.evaluation.form.reduction, alone, together)


def _whole(source: Source, named: Named) -> None:
    """A micro-batch as large as they are, beside the same examples in parts of a third."""
    full = spread(torch.arange(source.examples.size), source.micro_batch_size)
    parts = full.split(max(1, len(full) // 3))
    total = sum(_summed(source, named, part) for part in parts)
    _compare(source, full, total, _summed(source, named, full))


def _summed(source: Source, named: Named, ids: Tensor) -> float:
    loss = _given(source, named, ids)
    mean = source.evaluation.form.reduction == "mean" and not loss.ndim
    own = isinstance(source.evaluation.form, FunctionOfOutputs | FunctionOfModel)
    return float(loss.double().sum()) * (len(ids) if mean and own else 1)


def _compare(source: Source, ids: Tensor, alone: float, together: float) -> None:
    """Raise `UnsupportedModel` when an example's loss depends on which others are beside it."""
    slack = 2e-2 if source.measured.get("types") else 1e-3
    if not math.isfinite(alone) or not math.isfinite(together):
        return  # named when it is computed
    if abs(alone - together) > slack * max(abs(alone), abs(together)) + 1e-6 * len(ids):
        raise UnsupportedModel(
            f"The losses of {len(ids)} examples are {alone:.6g} alone and {together:.6g} "
            "together: an example's loss depends on the others in its batch.",
            "batch norm in eval mode, padding that is masked, no contrast between the members "
            "of a batch.",
        )


def _varied(source: Source, few: Tensor) -> Tensor:
    """The examples `few`, with one of every class beside where classes are in memory."""
    whole = source.examples.tensors
    targets = whole[1] if len(whole) == 2 else None
    if targets is None or targets.is_floating_point() or targets.ndim != 1:
        return few
    classes = targets.unique()
    if len(classes) > FEW:
        return few
    first = [int((targets == one).nonzero()[0]) for one in classes]
    return torch.unique(torch.cat([few, torch.tensor(first)]))


def _widens(source: Source, named: Named, ids: Tensor) -> bool:
    """Whether a user's function takes outputs in the widest type beside its own targets."""
    batch, form = source.batch(ids), source.evaluation.form
    if not isinstance(form, FunctionOfOutputs):
        return False
    outputs = source.outputs(named, batch)
    wide = outputs.to(widest(outputs.device)) if outputs.is_floating_point() else outputs
    try:
        form.given(wide, source.evaluation.targets(batch))
    except Exception:  # whatever the user's function raises
        return False
    return True
