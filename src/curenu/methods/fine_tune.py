"""FineTune: plain training on the retain set, the first-order baseline.

Differs from the usual in: batch-norm statistics stay as they are and dropout is off, as in
every objective here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest, IllPosed
from curenu.objective import Objective
from curenu.status import Status

__all__ = ["FineTune"]


@dataclass(frozen=True)
class FineTune:
    """Stochastic gradient descent with momentum on the retain objective.

    v ← momentum v + g_B, theta ← theta − learning_rate v over shuffled batches B of D_r,
    weight decay inside g_B. Cost: `epochs` gradients of D_r.

    Raises `IllPosed` when it diverges.
    """

    learning_rate: float = 0.01
    epochs: int = 10
    batch_size: int = 128
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or self.epochs < 1 or self.batch_size < 1:
            raise BadRequest(
                f"{self}.",
                "a positive learning rate, and 1 or more epochs and batch_size.",
            )
        if not 0 <= self.momentum < 1:
            raise BadRequest(f"momentum={self.momentum}.", "a number in [0, 1).")

    def plan(self, problem: ErasureProblem) -> Plan:
        """Exactly `epochs` passes over the retain set, two vectors."""
        return Plan(examples=self.epochs * problem.retain.size, vectors=2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: train on, on what stays."""
        theta = problem.start.clone()
        velocity = torch.zeros_like(theta)
        with problem.retain.meter.measure() as spent:
            for _ in range(self.epochs):
                for batch in problem.retain.batches(self.batch_size, generator):
                    velocity.mul_(self.momentum).add_(_gradient(batch, theta))
                    theta.add_(velocity, alpha=-self.learning_rate)
        return Erasure(theta, Status.SCHEDULE_DONE, spent())


def _gradient(batch: Objective, theta: Tensor) -> Tensor:
    try:
        return batch.gradient(theta)
    except IllPosed as error:
        raise IllPosed(
            f"Fine-tuning diverged or met broken data. {error.problem}",
            f"a smaller `learning_rate`, or {error.remedy}",
        ) from error
