"""How much of the way from the trained model to the oracle was made on the forget set?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from curenu.audits.finding import Finding, mean_interval
from curenu.audits.outputs import Outputs, require_same_examples
from curenu.errors import BadRequest

__all__ = ["QUANTITIES", "beyond_noise", "closed_share", "gap_closed", "has_gap", "margin"]


def margin(outputs: Outputs) -> Tensor:
    """z_y − logsumexp_{k≠y} z_k of each example, `[n]`, in float64."""
    logits = outputs.logits.double()
    own = logits.gather(1, outputs.targets[:, None])
    others = logits.scatter(1, outputs.targets[:, None], float("-inf"))
    return own[:, 0] - others.logsumexp(1)


QUANTITIES: dict[str, Callable[[Outputs], Tensor]] = {
    "accuracy": lambda o: (o.logits.argmax(1) == o.targets).double(),
    "loss": lambda o: functional.cross_entropy(o.logits.double(), o.targets, reduction="none"),
    "margin": margin,
}
"""Of each example, `[n]`, in float64."""


def gap_closed(quantity: str, before: Outputs, after: Outputs, oracles: list[Outputs]) -> Finding:
    """G = 1 − |q(after) − q(oracles)| / |q(before) − q(oracles)| on the forget set.

    q is the mean `"accuracy"`, `"loss"` or `"margin"`; the oracles' is their mean. 1: the
    forget set is treated as never seen; 0: nothing was done; below 0: worse than that, or
    overshot. The interval is over examples, of the ratio of the two means linearised, None for
    one. Raises `BadRequest` for other examples, and where `has_gap` finds none to close.
    """
    if not has_gap(quantity, before, oracles):
        raise BadRequest(
            f"There is no gap to close: the trained model's {quantity} is as near the oracles' "
            "as they are to each other, or as rounding is.",
            "another quantity, or the loss gap, which needs no gap.",
        )
    require_same_examples(after, oracles)
    measure = QUANTITIES[quantity]
    goal = torch.stack([measure(oracle) for oracle in oracles]).mean(0)
    left = (measure(after) - goal).cpu().numpy()
    gap = (measure(before) - goal).cpu().numpy()
    return closed_share(quantity, left, gap)


def closed_share(quantity: str, left: NDArray[np.float64], gap: NDArray[np.float64]) -> Finding:
    """G from what is left of the gap and the gap there was, of each example, `[n]`.

    Raises `BadRequest` when there was no gap.
    """
    if gap.mean() == 0.0:
        raise BadRequest(f"The trained model's {quantity} is the oracles'.", "another quantity.")
    ratio = float(left.mean() / gap.mean())
    bounds = mean_interval(ratio + (left - ratio * gap) / gap.mean())
    return Finding(f"G {quantity}", 1.0 - abs(ratio), bounds and _folded(*bounds), 1.0)


def has_gap(quantity: str, before: Outputs, oracles: list[Outputs]) -> bool:
    """Whether the trained model is further from the oracles than chance or rounding puts it.

    That is by `beyond_noise`, of the means of the quantity; rounding of the logits is four
    units in the last place of the largest of each example, and moves q by as much.
    """
    require_same_examples(before, oracles)
    measure = QUANTITIES[quantity]
    each = [float(measure(oracle).mean()) for oracle in oracles]
    rounding = 0.0
    if quantity != "accuracy":
        eps = max(torch.finfo(o.logits.dtype).eps for o in (before, *oracles))
        rounding = 4 * eps * float(before.logits.abs().amax(1).double().mean())
    return beyond_noise(float(measure(before).mean()), each, rounding)


def beyond_noise(before: float, oracles: Sequence[float], rounding: float) -> bool:
    """Whether there is a gap between the trained model's figure and the oracles'.

    That is |q(before) − mean q(oracles)| above the mean |q(oracle) − q(oracle')| of two oracles,
    below which the share of it that was closed says which oracles one happened to have, and
    above what `rounding` of the outputs may do to q, and that of float64 sums.
    """
    noise = [abs(one - other) for one, other in combinations(oracles, 2)]
    floor = max(1e-12 + rounding, float(np.mean(noise)) if noise else 0.0)
    return abs(before - float(np.mean(oracles))) > floor


def _folded(low: float, high: float) -> tuple[float, float]:
    """The interval of 1 − |ratio| from that of the ratio."""
    nearest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    return (1.0 - max(abs(low), abs(high)), 1.0 - nearest)
