"""AnchoredAdam: Adam on the anchored objective, a first-order rival."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.anchored_descent import descend, descent_plan
from curenu.descent.first_order import adam
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.settings import Count, Positive, Settings

__all__ = ["AnchoredAdam"]


@dataclass(frozen=True)
class AnchoredAdam(Settings):
    """Adam on the anchored objective, learning rate falling linearly to zero.

    Rate and epochs must be chosen. Source: Kingma and Ba, Adam, 2015; equation (5)
    of `docs/theory.md`. Raises `IllPosed` when it diverges.
    """

    learning_rate: Positive = 1e-4
    epochs: Positive = 1.0
    batch_size: Count = 128

    def plan(self, problem: ErasureProblem) -> Plan:
        """The whole schedule."""
        return descent_plan(problem, self.epochs, self.batch_size)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: descend from theta0."""
        return descend(
            problem,
            adam(self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            generator=generator,
        )
