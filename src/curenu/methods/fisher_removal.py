"""FisherRemoval: uphill on the forget loss by the inverse of the retain set's Fisher matrix.

Source: Gu, Rashid, Sultana and Mehnaz, "Second-Order Information Matters: Revisiting Machine
Unlearning for Large Language Models" (2024). Differs from the paper in: the rank-one recursion for
the inverse is written as what it is equal to, the inverse of damping I and a few rows, so no matrix
`[d, d]` is stored; gradients are those of single examples at theta0; and step size and
damping are this project's, the paper's being those of language models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.errors import BadRequest
from curenu.operators import RowMatrix, length
from curenu.risks import combined, gradient_rows
from curenu.status import Status

__all__ = ["FisherRemoval"]


@dataclass(frozen=True)
class FisherRemoval:
    """theta0 + `step_size` · F⁻¹ g_f, F = damping I + (1/m) Σ g_i g_iᵀ over m examples of D_r.

    g_f is the mean gradient of D_f, decay apart: the forget loss rises. F is the empirical Fisher
    matrix of `sample_size` retained examples, and m steps of the recursion
    F_i⁻¹ = F_{i−1}⁻¹ − u uᵀ/(m + g_i·u), u = F_{i−1}⁻¹g_i, F_0 = damping I, give its inverse.

    Cost: one gradient of each of the m examples and one of D_f; memory m vectors. Raises
    `UnsupportedModel`, naming the bytes, where they do not fit, and for items that are mappings.
    """

    step_size: float = 0.1
    damping: float = 0.01
    sample_size: int = 1000

    def __post_init__(self) -> None:
        for name in ("step_size", "damping"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadRequest(f"{name}={getattr(self, name)}.", "a positive number.")
        if self.sample_size < 1:
            raise BadRequest(f"sample_size={self.sample_size}.", "1 or more.")

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of every sampled example, all kept."""
        rows = min(self.sample_size, problem.retain.size)
        return Plan(rows + problem.forget.size, vectors=2 * rows + 4)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one preconditioned step uphill."""
        with problem.retain.meter.measure() as spent:
            sample = problem.retain.sample(self.sample_size, generator)
            fisher = RowMatrix.of(gradient_rows(sample, problem.start), self.damping)
            gradient = combined([(1.0, problem.forget, None)], weight_decay=0.0).gradient(
                problem.start
            )
            step = fisher.power(-1.0, gradient).mul_(self.step_size)
            record = StepRecord(
                gradient_norm=length(gradient), damping=self.damping, step_norm=length(step)
            )
            problem.report(record)
        notes = (f"Fisher matrix of rank {len(fisher.values)} from {sample.size} examples",)
        theta = problem.start + step
        return Erasure(theta, Status.SINGLE_STEP, spent(), (record,), notes=notes)
