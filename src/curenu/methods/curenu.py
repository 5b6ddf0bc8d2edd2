"""CuReNU: cubic-regularised Newton unlearning on all examples.

Paper: "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
Differs from the paper in: the objective is anchored unless told otherwise; the penalty is found
by a ratio test unless given; the default solver is matrix-free (Lanczos), which gives the same
step to its residual tolerance.
`CuReNU.paper(M)` has the paper's settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from curenu.budgets import Memory
from curenu.cubic import CubicSolver, LanczosSolver, resolve_solver
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.newton.adaptive import Penalty
from curenu.newton.cubic_newton import CubicNewton
from curenu.newton.target import Aim, Curvature, Preconditioner
from curenu.newton.tuning import Tuning
from curenu.settings import BelowOne, Bytes, Count, Settings, ZeroOrMore

__all__ = ["CuReNU"]


@dataclass(frozen=True)
class CuReNU(Settings):
    """Cubic Newton steps on all examples, to second-order stationarity.

    s = argmin g·s + ½ s·Hs + (M/6)|s|³, theta ← theta + s, with the full gradient g and
    Hessian H of the objective: `"anchored"`, or `"retain"` as in the paper. `penalty` is M
    or `"auto"`; `solver` is `"lanczos"`, `"eigen"`, `"descent"` or a solver; `curvature` and
    `preconditioner` choose the products and the metric of |s| (`"none"`: the usual length).
    `memory_budget` bounds the bytes kept so as not to be computed again: four parts of nine for
    the solver (where Lanczos's basis has more than 8 vectors and does not fit, products are made
    twice and no second block looks for what g hides; the eigen solver refuses), four for graphs
    between products, one for outputs at theta0 (None: 1 GiB, 1 GiB and 256 MiB).
    Cost per step: one gradient, the solver's products, one value a ratio test.
    Equations (1), (2), (5), (6) and (10) of `docs/theory.md`.
    """

    objective: Aim = "anchored"
    solver: str | CubicSolver = LanczosSolver()
    penalty: Penalty = "auto"
    curvature: Curvature = "hessian"
    preconditioner: Preconditioner = "none"
    max_steps: Count = 4
    tolerance: BelowOne = 1e-3
    certificate_products: ZeroOrMore = 10
    memory_budget: Bytes | None = None
    tuning: Tuning = Tuning()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._loop()

    @classmethod
    def paper(cls, penalty: float, *, max_steps: int = 10) -> Self:
        """The paper's settings: retain objective, exact eigen solver, hand-set M, fixed steps."""
        return cls(
            objective="retain",
            solver="eigen",
            penalty=penalty,
            preconditioner="none",
            max_steps=max_steps,
            tolerance=0.0,
        )

    def plan(self, problem: ErasureProblem) -> Plan:
        """Upper bound of the work: every step to its product budget."""
        return self._loop().plan(problem)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: minimise the objective from theta0."""
        return self._loop().run(problem, generator)

    def _loop(self) -> CubicNewton:
        memory = Memory.of(self.memory_budget)
        return CubicNewton(
            objective=self.objective,
            solver=resolve_solver(self.solver, memory.basis),
            penalty=self.penalty,
            curvature=self.curvature,
            preconditioner=self.preconditioner,
            max_steps=self.max_steps,
            tolerance=self.tolerance,
            certificate_products=self.certificate_products,
            memory=memory,
            tuning=self.tuning,
        )
