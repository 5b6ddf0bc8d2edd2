"""FisherForgetting: noise in the weights, of covariance F^(−1/2), F the retain set's Fisher matrix.

Source: Gu, Rashid, Sultana and Mehnaz, "Second-Order Information Matters: Revisiting Machine
Unlearning for Large Language Models" (2024), after Golatkar, Achille and Soatto (CVPR 2020). The
covariance is the one that both papers derive, a multiple of F^(−1/2); the published code of the
second adds noise of covariance F⁻¹ instead, and so does `Fisher` here. Differs from the papers in:
F has its off-diagonal part, from a few rows, damped; one factor `noise` stands for √(mu sigma²).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.newton.fisher_step import fisher_plan, row_matrix
from curenu.settings import Count, Positive, Settings
from curenu.status import Status

__all__ = ["FisherForgetting"]


@dataclass(frozen=True)
class FisherForgetting(Settings):
    """theta0 + N(0, noise · F^(−1/2)), F = damping I + (1/m) Σ g_i g_iᵀ over m examples of D_r.

    `noise` is √(mu sigma²) of the paper, whose draw is (mu sigma²)^(1/4) F^(−1/4) n. F is the
    empirical Fisher matrix of `sample_size` retained examples. The forget set is not looked at.

    Cost: one gradient of each of the m examples; memory m vectors. Raises `UnsupportedModel`,
    naming the bytes, where they do not fit, and for items that are mappings.
    """

    noise: Positive = 1e-5
    damping: Positive = 0.01
    sample_size: Count = 1000

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of every sampled example, all kept."""
        return fisher_plan(problem, self.sample_size, forget=False)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by noise."""
        with problem.retain.meter.measure() as spent:
            fisher, note = row_matrix(problem, self.sample_size, self.damping, generator)
            start = problem.start
            drawn = torch.randn(start.shape, generator=generator, dtype=start.dtype)
            moved = fisher.power(-0.25, drawn.to(start.device)).mul_(self.noise**0.5)
        return Erasure(start + moved, Status.SINGLE_STEP, spent(), notes=(note,))
