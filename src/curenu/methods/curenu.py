"""CuReNU: cubic-regularised Newton unlearning on all retained examples.

Paper: "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
Differs from the paper in: the penalty is found by a ratio test unless given; the default
solver is matrix-free (Lanczos), which gives the same step to its residual tolerance.
`CuReNU.paper(M)` has the paper's settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch

from curenu.cubic import CubicSolver, LanczosSolver, resolve_solver
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.methods.cubic_newton import CubicNewton, Draw, Penalty

__all__ = ["CuReNU"]


@dataclass(frozen=True)
class CuReNU:
    """Cubic Newton steps on the retain objective, all examples at every step.

    s = argmin g·s + ½ s·Hs + (M/6)|s|³, theta ← theta + s, with full gradient g and Hessian
    H of F_r. `penalty` is M or `"auto"`; `solver` is `"lanczos"`, `"eigen"`, `"descent"` or
    a solver. Cost per step: one gradient, the solver's products, one value a ratio test.
    Equations (1), (2) and (6) of `docs/theory.md`.
    """

    objective: Literal["retain"] = "retain"
    solver: str | CubicSolver = LanczosSolver()
    penalty: Penalty = "auto"
    max_steps: int = 4
    tolerance: float = 1e-3
    certificate_products: int = 10

    def __post_init__(self) -> None:
        self._loop()

    @classmethod
    def paper(cls, penalty: float, *, max_steps: int = 10) -> Self:
        """The paper's settings: exact eigen solver, hand-set M, a fixed number of steps."""
        return cls(solver="eigen", penalty=penalty, max_steps=max_steps, tolerance=0.0)

    def plan(self, problem: ErasureProblem) -> Plan:
        """Upper bound of the work: every step to its product budget, one value each."""
        return self._loop().plan(problem.retain, problem.retain.size, problem.retain.size)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: minimise F_r from theta0."""
        everything = Draw(problem.retain, problem.retain)
        return self._loop().run(problem, lambda: everything, generator)

    def _loop(self) -> CubicNewton:
        return CubicNewton(
            solver=resolve_solver(self.solver),
            penalty=self.penalty,
            max_steps=self.max_steps,
            tolerance=self.tolerance,
            certificate_products=self.certificate_products,
        )
