"""How much of the way from the trained model to the oracle was made on the forget set?"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from curenu.audits.finding import Finding
from curenu.audits.outputs import Outputs
from curenu.errors import BadRequest

__all__ = ["QUANTITIES", "gap_closed", "margin"]


def margin(outputs: Outputs) -> Tensor:
    """z_y − logsumexp_{k≠y} z_k of each example, `[n]`, in float64."""
    logits = outputs.logits.double()
    own = logits.gather(1, outputs.targets[:, None])
    others = logits.scatter(1, outputs.targets[:, None], float("-inf"))
    return own[:, 0] - others.logsumexp(1)


QUANTITIES = {
    "accuracy": lambda o: float((o.logits.argmax(1) == o.targets).double().mean()),
    "loss": lambda o: float(functional.cross_entropy(o.logits.double(), o.targets)),
    "margin": lambda o: float(margin(o).mean()),
}


def gap_closed(quantity: str, before: Outputs, after: Outputs, oracles: list[Outputs]) -> Finding:
    """G = 1 − |q(after) − q(oracles)| / |q(before) − q(oracles)| on the forget set.

    q is the mean `"accuracy"`, `"loss"` or `"margin"`; the oracles' is their mean. 1: the
    forget set is treated as never seen; 0: nothing was done; below 0: worse than that, or
    overshot. Raises `BadRequest` when there was no gap.
    """
    measure = QUANTITIES[quantity]
    goal = float(np.mean([measure(oracle) for oracle in oracles]))
    gap = abs(measure(before) - goal)
    if gap == 0.0:
        raise BadRequest(f"The trained model's {quantity} is the oracles'.", "another quantity.")
    return Finding(f"G {quantity}", 1.0 - abs(measure(after) - goal) / gap, None, 1.0)
