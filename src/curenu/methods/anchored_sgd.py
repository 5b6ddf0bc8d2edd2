"""AnchoredSGD: stochastic gradient descent on the anchored objective, a first-order rival."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.anchored_descent import descend, descent_plan
from curenu.descent.first_order import momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.settings import BelowOne, Count, Positive, Settings

__all__ = ["AnchoredSGD"]


@dataclass(frozen=True)
class AnchoredSGD(Settings):
    """Momentum descent on the anchored objective, learning rate falling linearly to zero.

    v ← momentum v + g_B, theta ← theta − rate v, with g_B its gradient on a fresh sample B.
    Rate and epochs must be chosen. Cost: about 1.5 gradients of D_r an epoch. Equation (5)
    of `docs/theory.md`. Raises `IllPosed` when it diverges.
    """

    learning_rate: Positive = 0.1
    epochs: Positive = 1.0
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """The whole schedule."""
        return descent_plan(problem, self.epochs, self.batch_size)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: descend from theta0."""
        return descend(
            problem,
            momentum(self.learning_rate, self.momentum),
            epochs=self.epochs,
            batch_size=self.batch_size,
            generator=generator,
        )
