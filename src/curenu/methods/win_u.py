"""WINU: one Newton step of the forget set's pull on the retain set's Gauss-Newton matrix.

Source: Zhao, Amiri and Magdon-Ismail, "WIN-U: Woodbury-Informed Newton-Unlearning as a Retain-Free
Machine Unlearning Framework" (arXiv 2604.13438, 2026). Differs from the paper in: there the
inverse curvature of all data is kept from training and the forget set's factors J_f are taken out
of it by the Woodbury identity, so that no retained example is looked at again; here no matrix is
kept, and products are made with G_r = (n G − n_f G_f)/n_r itself, on the retained examples. In
exact arithmetic the step is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.linear import damped_solve
from curenu.operators import length
from curenu.settings import Count, NotNegative, Settings

__all__ = ["WINU"]


@dataclass(frozen=True)
class WINU(Settings):
    """theta0 + (n_f/n_r) (G_r + damping I)^{-1} g_f, G_r and g_f with the weight decay.

    g_f = ∇F_f(theta0); at a stationary point of the objective on all data (n_f/n_r) g_f is
    −∇F_r, so that this is the Gauss-Newton step on the retain objective, and on a ridge
    regression its minimum. Away from one it forgets and does not train on. `max_products`
    None decomposes the dense G_r, and raises `UnsupportedModel`, naming the bytes, where it does
    not fit; a number solves in a Krylov space. `hvp_size` samples the examples of G_r.
    """

    damping: NotNegative = 1e-3
    max_products: Count | None = 50
    hvp_size: Count | None = None

    def plan(self, problem: ErasureProblem) -> Plan:
        """The forget set's gradient, and the products of one solve (twice in a Krylov space)."""
        size = min(self.hvp_size or problem.retain.size, problem.retain.size)
        dense = self.max_products is None
        products = problem.retain.dimension if self.max_products is None else 2 * self.max_products
        return Plan(
            problem.forget.size + size * (products + 2),
            vectors=4 if dense else 6,
            matrices=3 if dense else 0,
            curvature="gauss_newton",
        )

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one step that looks at the forget set's gradient alone."""
        with problem.retain.meter.measure() as spent:
            sample = problem.retain.sample(self.hvp_size or problem.retain.size, generator)
            pull = problem.forget.gradient(problem.start)
            pull.mul_(-problem.forget.mass / problem.retain.mass)
            curvature = sample.linearise(problem.start, curvature="gauss_newton")
            found = damped_solve(curvature, pull, self.damping, max_products=self.max_products)
            record = StepRecord(
                gradient_norm=length(pull),
                damping=self.damping,
                step_norm=length(found.step),
                products=found.products,
            )
            problem.report(record)
        theta = problem.start + found.step
        return Erasure(theta, found.status, spent(), (record,), notes=found.notes)
