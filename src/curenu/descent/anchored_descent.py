"""First-order descent on the anchored objective, what its two methods share."""

from __future__ import annotations

import math

import torch

from curenu.descent.first_order import Optimizer, follow
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.status import Status

__all__ = ["descend", "descent_plan"]


def descend(
    problem: ErasureProblem,
    optimizer: Optimizer,
    *,
    epochs: float,
    batch_size: int,
    generator: torch.Generator,
) -> Erasure:
    """Follow the gradient on fresh samples, the learning rate falling linearly to zero."""
    steps = math.ceil(epochs * problem.retain.size / batch_size)
    with problem.retain.meter.measure() as spent:
        limit = problem.limit(generator)
        objective = problem.anchored(limit)
        samples = (objective.sample(batch_size, generator) for _ in range(steps))
        theta = follow(problem.start, samples, optimizer, steps=steps)
    return Erasure(theta, Status.SCHEDULE_DONE, spent(), notes=("objective anchored", limit.note))


def descent_plan(problem: ErasureProblem, epochs: float, batch_size: int) -> Plan:
    """A gradient and outputs at theta0 a sample, the forget examples' twice."""
    steps = math.ceil(epochs * problem.retain.size / batch_size)
    share = max(1 / 4, problem.forget.size / problem.retain.size)
    passed = min(batch_size, problem.retain.size) * (2 + math.ceil(3 * share)) + 3
    once = 2 * problem.forget.size + problem.training.examples(problem.retain, problem.forget)
    return Plan(examples=steps * passed + once, vectors=7, anchored=True)
