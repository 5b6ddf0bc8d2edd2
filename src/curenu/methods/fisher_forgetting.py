"""FisherForgetting: noise in the weights, of covariance F^(−1/2), F the retain set's Fisher matrix.

Source: Gu, Rashid, Sultana and Mehnaz, "Second-Order Information Matters: Revisiting Machine
Unlearning for Large Language Models" (2024), after Golatkar, Achille and Soatto (CVPR 2020). The
covariance is the one that both papers derive, a multiple of F^(−1/2); the published code of the
second adds noise of covariance F⁻¹ instead, and so does `Fisher` here. Differs from the papers in:
F has its off-diagonal part, from a few rows, damped; one factor `noise` stands for √(mu sigma²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.operators import RowMatrix
from curenu.risks import gradient_rows
from curenu.status import Status

__all__ = ["FisherForgetting"]


@dataclass(frozen=True)
class FisherForgetting:
    """theta0 + N(0, noise · F^(−1/2)), F = damping I + (1/m) Σ g_i g_iᵀ over m examples of D_r.

    `noise` is √(mu sigma²) of the paper, whose draw is (mu sigma²)^(1/4) F^(−1/4) n. F is the
    empirical Fisher matrix of `sample_size` retained examples. The forget set is not looked at.

    Cost: one gradient of each of the m examples; memory m vectors. Raises `UnsupportedModel`,
    naming the bytes, where they do not fit, and for items that are mappings.
    """

    noise: float = 1e-5
    damping: float = 0.01
    sample_size: int = 1000

    def __post_init__(self) -> None:
        for name in ("noise", "damping"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadRequest(f"{name}={getattr(self, name)}.", "a positive number.")
        if self.sample_size < 1:
            raise BadRequest(f"sample_size={self.sample_size}.", "1 or more.")

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of every sampled example, all kept."""
        rows = min(self.sample_size, problem.retain.size)
        return Plan(rows, vectors=2 * rows + 4)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by noise."""
        with problem.retain.meter.measure() as spent:
            sample = problem.retain.sample(self.sample_size, generator)
            fisher = RowMatrix.of(gradient_rows(sample, problem.start), self.damping)
            start = problem.start
            drawn = torch.randn(start.shape, generator=generator, dtype=start.dtype)
            moved = fisher.power(-0.25, drawn.to(start.device)).mul_(self.noise**0.5)
        notes = (f"Fisher matrix of rank {len(fisher.values)} from {sample.size} examples",)
        return Erasure(start + moved, Status.SINGLE_STEP, spent(), notes=notes)
