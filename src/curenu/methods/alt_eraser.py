"""AltEraser: Newton steps on the two tables of a factorisation in turn, for recommenders.

Source: Liu, Wan, Wang, Zhang, Zhang and Li, "Forgetting Fast in Recommender Systems"
(arXiv 2208.06875, 2022). Differs from the paper in: the Gauss-Newton matrix stands for the Hessian,
so that conjugate directions never meet negative curvature (it is the Hessian where the loss is a
square and a table enters linearly); the step is the exact one within the Krylov space of
`max_products` products; a table is any set of parameters, named by patterns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.errors import UnsupportedModel
from curenu.linear import damped_solve
from curenu.operators import Block, length
from curenu.settings import Count, NotNegative, Settings
from curenu.status import Status

__all__ = ["AltEraser"]


@dataclass(frozen=True)
class AltEraser(Settings):
    """theta_S ← theta_S − (G_SS + damping I)^{-1} g_S for S the users, then the items.

    So `alternations` times, on the retain objective; g and G are of where the block before left
    theta. `users` and `items` are patterns for parameter names with `*`; what neither matches
    stays. The rows of a person of whom nothing is retained have the gradient of the weight decay
    alone: with weight decay and `damping` 0 they are zero after one step. Made for whole people.
    Cost of a block: a gradient and `max_products` products on D_r (twice, where no basis is kept).

    Raises `UnsupportedModel` for a pattern that matches no parameter.
    """

    users: str = "person*"
    items: str = "film*"
    alternations: Count = 2
    max_products: Count = 20
    damping: NotNegative = 1e-4

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient and the products of a solve for every block of every alternation."""
        for pattern in (self.users, self.items):
            self._places(problem, pattern)  # refuses before anything is computed
        each = 2 * self.max_products + 2
        return Plan(
            2 * self.alternations * each * problem.retain.size, vectors=7, curvature="gauss_newton"
        )

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: settle each table anew while the other is held."""
        blocks = [self._places(problem, pattern) for pattern in (self.users, self.items)]
        theta, trace = problem.start.clone(), []
        with problem.retain.meter.measure() as spent:
            for places in blocks * self.alternations:
                curvature = problem.retain.linearise(theta, curvature="gauss_newton")
                gradient = curvature.gradient[places]
                found = damped_solve(
                    Block(curvature, places, len(theta)),
                    gradient,
                    self.damping,
                    max_products=min(self.max_products, len(places)),
                )
                theta[places] += found.step
                record = StepRecord(
                    value=curvature.value,
                    gradient_norm=length(gradient),
                    damping=self.damping,
                    step_norm=length(found.step),
                    products=found.products,
                )
                trace.append(problem.report(record))
        return Erasure(theta, Status.SCHEDULE_DONE, spent(), tuple(trace))

    def _places(self, problem: ErasureProblem, pattern: str) -> Tensor:
        """Where in theta the parameters of one block are, `[s]`."""
        found = problem.retain.parameters.places(pattern)
        if not len(found):
            names = ", ".join(problem.retain.parameters.names[:4])
            raise UnsupportedModel(
                f"AltEraser: no parameter is named like {pattern!r}.",
                f"`users=` and `items=` with patterns for the names of yours, as {names}.",
            )
        return found
