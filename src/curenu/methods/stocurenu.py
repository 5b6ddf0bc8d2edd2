"""StoCuReNU: cubic-regularised Newton unlearning from samples and products only.

Paper: "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
Differs from the paper in: by default gradient, products and ratio test use one sample a
step, the penalty is found by the ratio test, and the sub-problem is solved by Lanczos.
`StoCuReNU.paper(M)` has the paper's settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch

from curenu.cubic import CubicSolver, DescentSolver, LanczosSolver, resolve_solver
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.methods.cubic_newton import CubicNewton, Draw, Penalty

__all__ = ["StoCuReNU"]


@dataclass(frozen=True)
class StoCuReNU:
    """Cubic Newton steps on fresh samples of the retain set; no Hessian is ever stored.

    As `CuReNU`, with g and H over `sample_size` retained examples drawn anew at every step;
    `hvp_size`, if given, draws a second, independent sample for the products. The number of
    vectors `[d]` held does not depend on the data's size. Cost per step: one gradient and
    the solver's products on the sample. Equations (1), (2), (6) and (8) of `docs/theory.md`.
    """

    objective: Literal["retain"] = "retain"
    solver: str | CubicSolver = LanczosSolver()
    penalty: Penalty = "auto"
    sample_size: int = 4096
    hvp_size: int | None = None
    max_steps: int = 4
    tolerance: float = 1e-3
    certificate_products: int = 10

    def __post_init__(self) -> None:
        if self.sample_size < 1 or (self.hvp_size is not None and self.hvp_size < 1):
            raise BadRequest("A sample size below 1.", "sample_size and hvp_size of 1 or more.")
        self._loop()

    @classmethod
    def paper(
        cls,
        penalty: float,
        *,
        step_size: float = 0.01,
        sample_size: int = 128,
        hvp_size: int = 64,
        inner_steps: int = 10,
        max_steps: int = 20,
    ) -> Self:
        """The paper's settings: two samples, descent on the cubic model, hand-set M.

        Published M: 5, 50, 80 and 400 on Fashion-MNIST, CIFAR-10, AG-News and TOFU;
        `step_size` is the learning rate of training.
        """
        return cls(
            solver=DescentSolver(iterations=inner_steps, step_size=step_size),
            penalty=penalty,
            sample_size=sample_size,
            hvp_size=hvp_size,
            max_steps=max_steps,
            tolerance=0.0,
        )

    def plan(self, problem: ErasureProblem) -> Plan:
        """Upper bound of the work: every step to its product budget, one value each."""
        size = min(self.sample_size, problem.retain.size)
        return self._loop().plan(problem.retain, size, min(self.hvp_size or size, size))

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: minimise F_r from theta0 on samples."""

        def draw() -> Draw:
            gradient = problem.retain.sample(self.sample_size, generator)
            if self.hvp_size is None:
                return Draw(gradient, gradient)
            return Draw(gradient, problem.retain.sample(self.hvp_size, generator))

        return self._loop().run(problem, draw, generator)

    def _loop(self) -> CubicNewton:
        return CubicNewton(
            solver=resolve_solver(self.solver),
            penalty=self.penalty,
            max_steps=self.max_steps,
            tolerance=self.tolerance,
            certificate_products=self.certificate_products,
        )
