"""PseudoInverseNewton: the undamped Newton step, a baseline that fails honestly.

Source: the baseline of "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.linear import pseudo_inverse_solve
from curenu.newton.single_step import newton_plan, newton_step
from curenu.settings import BelowOne, Count, Settings

__all__ = ["PseudoInverseNewton"]


@dataclass(frozen=True)
class PseudoInverseNewton(Settings):
    """theta0 − H⁺ g on the retain objective, however far that is.

    Eigenvalues below `relative_cutoff` times the largest in size count as zero.
    `max_products` None decomposes the dense H; a number works in a Krylov space of that many
    products. `hvp_size` samples the examples of H. Nothing is clipped.
    """

    relative_cutoff: BelowOne = 1e-6
    max_products: Count | None = None
    hvp_size: Count | None = None

    def plan(self, problem: ErasureProblem) -> Plan:
        """One gradient, and the products of one solve."""
        return newton_plan(problem, self.hvp_size, self.max_products)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one undamped step."""
        return newton_step(
            problem,
            lambda curvature, gradient: pseudo_inverse_solve(
                curvature,
                gradient,
                relative_cutoff=self.relative_cutoff,
                max_products=self.max_products,
            ),
            hvp_size=self.hvp_size,
            damping=0.0,
            generator=generator,
        )
