"""Whether a request's result may be granted: weights that moved, and a model still in its senses.

What a method says of itself is one thing; these are looked at from outside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from curenu.erasure import ErasureProblem
from curenu.operators import length
from curenu.risks import EmpiricalRisk
from curenu.runs.evidence import Looked
from curenu.status import Status

__all__ = ["GRADIENT_GROWTH", "LOST_SHARE", "look", "status_of"]

LOST_SHARE = 0.5
"""Share of what training gained on examples that stay, from which on losing it is divergence.
Erasures compared with retraining lose a few hundredths of it."""

GRADIENT_GROWTH = 4.0
"""Growth of the gradient on examples that stay, over the larger of that before and that of the
untrained network, from which on it is divergence if the objective rose as well."""

_EXAMPLES = 256  # that stay, as they are looked at: three values and three gradients


def look(
    problem: ErasureProblem, theta: Tensor, untrained: Tensor, generator: torch.Generator
) -> Looked:
    """The training objective where the request began, at its result, and before training."""
    sample = problem.retain.sample(min(_EXAMPLES, problem.retain.size), generator)
    listener, problem.retain.meter.listener = problem.retain.meter.listener, None
    try:
        found = [_at(sample, point) for point in (problem.start, theta, untrained)]
    finally:
        problem.retain.meter.listener = listener
    (before, slope), (after, slope_after), (first, slope_first) = found
    return Looked(
        examples=sample.size,
        value_before=before,
        value_after=after,
        value_untrained=first,
        gradient_before=slope,
        gradient_after=slope_after,
        gradient_untrained=slope_first,
    )


def status_of(status: Status, looked: Looked, *, moved: bool) -> Status:
    """The method's own status, unless it is not ok, nothing moved or the model is spoilt.

    A method that ends `CONVERGED` where it began says that there was nothing to erase.
    """
    if not status.ok:
        return status
    if not moved:
        return status if status is Status.CONVERGED else Status.UNMOVED
    return Status.DIVERGED if _diverged(looked) else status


def _diverged(looked: Looked) -> bool:
    gained = looked.value_untrained - looked.value_before
    scale = gained if gained > 0 else abs(looked.value_before)
    rise = looked.value_after - looked.value_before
    steep = max(looked.gradient_before, looked.gradient_untrained)
    # written so that NaN counts as divergence
    if not rise <= LOST_SHARE * scale:
        return True
    return rise > 0 and not looked.gradient_after <= GRADIENT_GROWTH * steep


def _at(sample: EmpiricalRisk, theta: Tensor) -> tuple[float, float]:
    return float(sample.value(theta)), length(sample.gradient(theta))
