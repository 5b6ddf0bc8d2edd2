"""AnchoredAdam: Adam on the anchored objective, a first-order rival."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.methods.anchored_descent import check_schedule, descend, descent_plan

__all__ = ["AnchoredAdam"]

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # Adam's usual constants


@dataclass(frozen=True)
class AnchoredAdam:
    """Adam on the anchored objective, learning rate falling linearly to zero.

    a ← .9 a + .1 g_B, b ← .999 b + .001 g_B², both bias-corrected, theta ← theta − rate
    a/(√b + 1e-8). Rate and epochs must be chosen. Source: Kingma and Ba, Adam, 2015; equation
    (5) of `docs/theory.md`. Raises `IllPosed` when it diverges.
    """

    learning_rate: float = 1e-4
    epochs: float = 1.0
    batch_size: int = 128

    def __post_init__(self) -> None:
        check_schedule(self.learning_rate, self.epochs, self.batch_size)

    def plan(self, problem: ErasureProblem) -> Plan:
        """The whole schedule."""
        return descent_plan(problem, self.epochs, self.batch_size)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: descend from theta0."""
        mean, square = torch.zeros_like(problem.start), torch.zeros_like(problem.start)
        count = 0

        def update(gradient: Tensor, left: float) -> Tensor:
            nonlocal count
            count += 1
            mean.lerp_(gradient, 1.0 - _FIRST)
            square.lerp_(gradient.square(), 1.0 - _SECOND)
            root = (square / (1.0 - _SECOND**count)).sqrt_().add_(_TINY)
            return mean / root * (-self.learning_rate * left / (1.0 - _FIRST**count))

        return descend(
            problem, update, epochs=self.epochs, batch_size=self.batch_size, generator=generator
        )
