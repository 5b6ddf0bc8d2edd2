"""WoodFisher: influence unlearning, the inverse Hessian being that of a Fisher matrix of few rows.

Source: Singh and Alistarh, "WoodFisher: Efficient Second-Order Approximation for Neural Network
Compression" (NeurIPS 2020), as used for influence unlearning by Jia et al., "Model Sparsity Can
Simplify Machine Unlearning" (NeurIPS 2023). Differs from the published code of the latter in: the
chain of rank-one steps is the whole one, equal to the inverse, where the code keeps one vector, a
multiple of the first batch's gradient, and so corrects along that direction alone; rows are
gradients of single examples, there of batches; and the step has the scale of removal, n_f/n_r,
there left to the step size. The start of the chain is the identity in both (`damping` 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.newton.fisher_step import fisher_plan, fisher_step
from curenu.settings import Count, Positive, Settings

__all__ = ["WoodFisher"]


@dataclass(frozen=True)
class WoodFisher(Settings):
    """theta0 + `step_size` · (n_f/n_r) F⁻¹ g_f, F = damping I + (1/m) Σ g_i g_iᵀ.

    The removal step of influence functions, −H⁻¹∇F_r at a stationary point but for the forget
    set's share of the decay, with the empirical Fisher matrix of m = `sample_size` retained
    examples for H: g_f is the mean gradient of D_f, decay apart. At a trained network the
    gradients of what it has learned are small, and the damping is most of F.

    Cost: one gradient of each of the m examples and one of D_f; memory m vectors. Raises
    `UnsupportedModel`, naming the bytes, where they do not fit, and for items that are mappings.
    """

    step_size: Positive = 1.0
    damping: Positive = 1.0
    sample_size: Count = 1000

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of every sampled example, all kept, and one of the forget set."""
        return fisher_plan(problem, self.sample_size, forget=True)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one influence step."""
        return fisher_step(
            problem,
            self.step_size * problem.forget.size / problem.retain.size,
            damping=self.damping,
            sample_size=self.sample_size,
            generator=generator,
        )
