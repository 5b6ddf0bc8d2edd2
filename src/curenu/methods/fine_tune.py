"""FineTune: plain training on the retain set, the first-order baseline.

Differs from the usual in: batch-norm statistics stay as they are and dropout is off, as in
every objective here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.settings import BelowOne, Count, Positive, Settings
from curenu.status import Status

__all__ = ["FineTune"]


@dataclass(frozen=True)
class FineTune(Settings):
    """Stochastic gradient descent with momentum on the retain objective.

    v ← momentum v + g_B, theta ← theta − learning_rate v over shuffled batches B of D_r,
    weight decay inside g_B. Cost: `epochs` gradients of D_r.

    Raises `IllPosed` when it diverges.
    """

    learning_rate: Positive = 0.01
    epochs: Count = 10
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """Exactly `epochs` passes over the retain set, two vectors."""
        return Plan(examples=self.epochs * problem.retain.size, vectors=2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: train on, on what stays."""
        with problem.retain.meter.measure() as spent:
            batches = (
                batch
                for _ in range(self.epochs)
                for batch in problem.retain.batches(self.batch_size, generator)
            )
            theta = follow(problem.start, batches, momentum(self.learning_rate, self.momentum))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
