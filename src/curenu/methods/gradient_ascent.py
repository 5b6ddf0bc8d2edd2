"""GradientAscent: up the loss of the forget set, and nothing to hold what stays.

Source: Thudi et al., "Unrolling SGD: Understanding Factors Influencing Machine Unlearning"
(EuroS&P 2022), and many after it. Differs from the paper in: several steps with momentum instead
of one; weight decay pulls towards zero, it is not negated with the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import combined
from curenu.settings import BelowOne, Count, Positive, Settings
from curenu.status import Status

__all__ = ["GradientAscent"]


@dataclass(frozen=True)
class GradientAscent(Settings):
    """Stochastic gradient ascent with momentum on the loss of the forget set.

    v ← momentum v − ∇L_B + lambda theta, theta ← theta − learning_rate v over shuffled
    batches B of D_f. The loss has no upper bound: long schedules destroy the model. Cost:
    `epochs` gradients of D_f. Raises `IllPosed` when it diverges.
    """

    learning_rate: Positive = 1e-4
    epochs: Count = 5
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """Exactly `epochs` passes over the forget set, two vectors."""
        return Plan(examples=self.epochs * problem.forget.size, vectors=2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: walk away from what goes."""
        with problem.retain.meter.measure() as spent:
            batches = (
                combined([(-1.0, batch, None)], weight_decay=problem.retain.weight_decay)
                for _ in range(self.epochs)
                for batch in problem.forget.batches(self.batch_size, generator)
            )
            theta = follow(problem.start, batches, momentum(self.learning_rate, self.momentum))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
