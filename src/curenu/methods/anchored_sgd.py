"""AnchoredSGD: stochastic gradient descent on the anchored objective, a first-order rival."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.methods.anchored_descent import check_schedule, descend, descent_plan

__all__ = ["AnchoredSGD"]


@dataclass(frozen=True)
class AnchoredSGD:
    """Momentum descent on the anchored objective, learning rate falling linearly to zero.

    v ← momentum v − rate g_B, theta ← theta + v, with g_B its gradient on a fresh sample B.
    Rate and epochs must be chosen. Cost: about 1.5 gradients of D_r an epoch. Equation (5)
    of `docs/theory.md`. Raises `IllPosed` when it diverges.
    """

    learning_rate: float = 0.1
    epochs: float = 1.0
    batch_size: int = 128
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_schedule(self.learning_rate, self.epochs, self.batch_size)
        if not 0 <= self.momentum < 1:
            raise BadRequest(f"momentum={self.momentum}.", "a number in [0, 1).")

    def plan(self, problem: ErasureProblem) -> Plan:
        """The whole schedule."""
        return descent_plan(problem, self.epochs, self.batch_size)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: descend from theta0."""
        velocity = torch.zeros_like(problem.start)

        def update(gradient: Tensor, left: float) -> Tensor:
            return velocity.mul_(self.momentum).add_(gradient, alpha=-self.learning_rate * left)

        return descend(
            problem, update, epochs=self.epochs, batch_size=self.batch_size, generator=generator
        )
