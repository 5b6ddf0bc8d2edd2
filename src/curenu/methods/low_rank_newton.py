"""LowRankNewton: the Newton step on the few directions that carry the predicted loss change.

Source: the idea of HALRP, "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning"
(IEEE TKDE 2024), taken to erasure. Differs from the paper in nearly all: there a layer's singular
values are kept by an importance s²·mean(g²) up to a cumulative share of .9; here eigenpairs of the
retain objective's Hessian are kept, largest first, up to that share of the loss change that the
quadratic model predicts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.linear import low_rank_solve
from curenu.newton.single_step import newton_plan, newton_step
from curenu.settings import Count, NotNegative, Settings, Share

__all__ = ["LowRankNewton"]


@dataclass(frozen=True)
class LowRankNewton(Settings):
    """theta0 − H⁻¹g on the top k eigenvectors of H, −g/(λ_k + damping) on what is left of g.

    On the retain objective. k is the fewest that make `share` of Σ ½ (u_j·g)²/(λ_j + damping) over
    the positive eigenvalues; others are never among the k. On a quadratic, the k being kept and the
    rest left, the loss above the minimum is what was dropped, Σ ½ λ_j s_j² of the rest.
    `max_products` None decomposes the dense H, and raises `UnsupportedModel`, naming the bytes,
    where it does not fit; a number takes Ritz pairs from the Krylov space of g of that many
    products. `hvp_size` samples the examples of H.
    """

    share: Share = 0.9
    damping: NotNegative = 0.1
    max_products: Count | None = 50
    hvp_size: Count | None = None

    def plan(self, problem: ErasureProblem) -> Plan:
        """One gradient, and the products of one solve."""
        return newton_plan(problem, self.hvp_size, self.max_products)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one step of low rank."""
        return newton_step(
            problem,
            lambda curvature, gradient: low_rank_solve(
                curvature,
                gradient,
                self.damping,
                share=self.share,
                max_products=self.max_products,
            ),
            hvp_size=self.hvp_size,
            damping=self.damping,
            generator=generator,
        )
