"""First-order descent on a sequence of objectives, what every first-order method shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from curenu.errors import IllPosed
from curenu.risks import EmpiricalRisk

__all__ = [
    "Optimizer",
    "Sloped",
    "adam",
    "follow",
    "gradient_at",
    "momentum",
    "paired",
    "paired_size",
]

Optimizer = Callable[[Tensor], torch.optim.Optimizer]
"""Makes an optimizer of one leaf vector."""


class Sloped(Protocol):
    """What descent needs of an objective: its gradient, or a subgradient."""

    def gradient(self, theta: Tensor) -> Tensor: ...


def momentum(learning_rate: float, share: float = 0.9) -> Optimizer:
    """v ← share v + g, theta ← theta − learning_rate v."""
    return lambda theta: torch.optim.SGD([theta], lr=learning_rate, momentum=share)


def adam(learning_rate: float) -> Optimizer:
    """Adam with its usual constants (Kingma and Ba, 2015)."""
    return lambda theta: torch.optim.Adam([theta], lr=learning_rate)


def follow(
    start: Tensor,
    objectives: Iterable[Sloped],
    optimizer: Optimizer,
    *,
    steps: int | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector `[d]` after one step of the optimizer on each objective's gradient.

    With `steps` the learning rate falls linearly to zero over so many. A `mask` `[d]` of
    zeros and ones keeps the rest still: gradient, decay and momentum.

    Raises `IllPosed` when it diverges.
    """
    theta = start.clone().requires_grad_()
    rule = optimizer(theta)
    falling = torch.optim.lr_scheduler.LambdaLR(
        rule, lambda step: 1.0 if steps is None else max(0.0, 1.0 - step / steps)
    )
    for objective in objectives:
        theta.grad = gradient_at(objective, theta.detach())
        if mask is not None:
            theta.grad.mul_(mask)
        rule.step()
        rule.zero_grad()  # else two gradients are held while the next is computed
        falling.step()
    if not theta.isfinite().all():
        raise IllPosed("Descent ended in NaN or Inf.", "a smaller `learning_rate`.")
    return theta.detach()


def paired(
    first: EmpiricalRisk, second: EmpiricalRisk, size: int, generator: torch.Generator
) -> Iterator[tuple[EmpiricalRisk, EmpiricalRisk]]:
    """One epoch of `first` in shuffled batches, each beside one of `second`.

    `second` is shuffled anew as often as it ends.
    """
    others = (batch for _ in count() for batch in second.batches(size, generator))
    return zip(first.batches(size, generator), others, strict=False)


def paired_size(first: EmpiricalRisk, second: EmpiricalRisk, size: int) -> int:
    """The most examples that one epoch of `paired` holds."""
    return first.size + math.ceil(first.size / size) * min(size, second.size)


def gradient_at(objective: Sloped, theta: Tensor) -> Tensor:
    """The gradient `[d]`; what is not finite on the way is named as descent that diverged."""
    try:
        return objective.gradient(theta)
    except IllPosed as error:
        raise IllPosed(
            f"Descent diverged or met broken data. {error.problem}",
            f"a smaller `learning_rate`, or {error.remedy}",
        ) from error
