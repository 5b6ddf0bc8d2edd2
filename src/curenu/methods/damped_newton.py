"""DampedNewton: the Newton step with a damping set by hand, a baseline.

Source: the baseline of "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.linear import damped_solve
from curenu.newton.single_step import newton_plan, newton_step
from curenu.settings import Count, NotNegative, Settings

__all__ = ["DampedNewton"]


@dataclass(frozen=True)
class DampedNewton(Settings):
    """theta0 − (H + damping I)^{-1} g on the retain objective, gamma = `damping` by hand.

    `max_products` None decomposes the dense H; a number works in a Krylov space of that many
    products. `hvp_size` samples the examples of H. Nothing is clipped.
    """

    damping: NotNegative = 0.1
    max_products: Count | None = None
    hvp_size: Count | None = None

    def plan(self, problem: ErasureProblem) -> Plan:
        """One gradient, and the products of one solve."""
        return newton_plan(problem, self.hvp_size, self.max_products)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one step of fixed damping."""
        return newton_step(
            problem,
            lambda curvature, gradient: damped_solve(
                curvature, gradient, self.damping, max_products=self.max_products
            ),
            hvp_size=self.hvp_size,
            damping=self.damping,
            generator=generator,
        )
