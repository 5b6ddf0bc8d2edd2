"""First-order descent on the anchored objective, what its two methods share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest, IllPosed
from curenu.objective import AnchoredRisk
from curenu.status import Status

__all__ = ["check_schedule", "descend", "descent_plan"]


def check_schedule(learning_rate: float, epochs: float, batch_size: int) -> None:
    """Raise `BadRequest` for a schedule that cannot be meant."""
    if not learning_rate > 0 or not epochs > 0 or batch_size < 1:
        raise BadRequest(
            f"learning_rate={learning_rate}, epochs={epochs}, batch_size={batch_size}.",
            "a positive learning rate and number of epochs, 1 or more examples a batch.",
        )


def descend(
    problem: ErasureProblem,
    update: Callable[[Tensor, float], Tensor],
    *,
    epochs: float,
    batch_size: int,
    generator: torch.Generator,
) -> Erasure:
    """theta ← theta + update(gradient on a fresh sample, share of the schedule left)."""
    steps = math.ceil(epochs * problem.retain.size / batch_size)
    theta = problem.start.clone()
    with problem.retain.meter.measure() as spent:
        objective = AnchoredRisk(problem.retain, problem.forget, problem.start)
        for step in range(steps):
            sample = objective.sample(batch_size, generator)
            try:
                gradient = sample.gradient(theta)
            except IllPosed as error:
                raise IllPosed(
                    f"Descent diverged or met broken data. {error.problem}",
                    f"a smaller `learning_rate`, or {error.remedy}",
                ) from error
            theta = theta + update(gradient, 1.0 - step / steps)
    return Erasure(theta, Status.SCHEDULE_DONE, spent(), notes=("objective anchored",))


def descent_plan(problem: ErasureProblem, epochs: float, batch_size: int) -> Plan:
    """A gradient and outputs at theta0 a sample, the forget examples' twice."""
    steps = math.ceil(epochs * problem.retain.size / batch_size)
    share = max(1 / 4, problem.forget.size / problem.retain.size)
    passed = min(batch_size, problem.retain.size) * (2 + math.ceil(3 * share)) + 3
    return Plan(examples=steps * passed + 2 * problem.forget.size, vectors=7)
