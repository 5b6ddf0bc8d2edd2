"""FisherRemoval: uphill on the forget loss by the inverse of the retain set's Fisher matrix.

Source: Gu, Rashid, Sultana and Mehnaz, "Second-Order Information Matters: Revisiting Machine
Unlearning for Large Language Models" (2024). Differs from the paper in: the rank-one recursion for
the inverse is written as what it is equal to, the inverse of damping I and a few rows, so no matrix
`[d, d]` is stored; gradients are those of single examples at theta0; and step size and
damping are this project's, the paper's being those of language models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.newton.fisher_step import fisher_plan, fisher_step
from curenu.settings import Count, Positive, Settings

__all__ = ["FisherRemoval"]


@dataclass(frozen=True)
class FisherRemoval(Settings):
    """theta0 + `step_size` · F⁻¹ g_f, F = damping I + (1/m) Σ g_i g_iᵀ over m examples of D_r.

    g_f is the mean gradient of D_f, decay apart: the forget loss rises. F is the empirical Fisher
    matrix of `sample_size` retained examples, and m steps of the recursion
    F_i⁻¹ = F_{i−1}⁻¹ − u uᵀ/(m + g_i·u), u = F_{i−1}⁻¹g_i, F_0 = damping I, give its inverse.

    Cost: one gradient of each of the m examples and one of D_f; memory m vectors. Raises
    `UnsupportedModel`, naming the bytes, where they do not fit, and for items that are mappings.
    """

    step_size: Positive = 0.1
    damping: Positive = 0.01
    sample_size: Count = 1000

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of every sampled example, all kept, and one of the forget set."""
        return fisher_plan(problem, self.sample_size, forget=True)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one preconditioned step uphill."""
        return fisher_step(
            problem,
            self.step_size,
            damping=self.damping,
            sample_size=self.sample_size,
            generator=generator,
        )
