"""StoCuReNU: cubic-regularised Newton unlearning from samples and products only.

Paper: "Batch and Sequential Unlearning for Neural Networks" (ICLR 2026).
Differs from the paper in: by default the objective is anchored, products are Gauss-Newton and
steps measured in a K-FAC metric; one step on a large sample comes first and is mostly all of it;
gradient, products and ratio test use one sample a step; the penalty is found on examples set aside
(by the ratio test for the retain objective), three Lanczos products solve the sub-problem, and the
last steps are averaged.
`StoCuReNU.paper(M)` has the paper's settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from curenu.budgets import Memory
from curenu.cubic import CubicSolver, DescentSolver, LanczosSolver, resolve_solver
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.newton.adaptive import Penalty
from curenu.newton.cubic_newton import CubicNewton
from curenu.newton.target import Aim, Curvature, Preconditioner
from curenu.newton.tuning import Tuning
from curenu.settings import BelowOne, Bytes, Count, Settings, ZeroOrMore

__all__ = ["StoCuReNU"]


@dataclass(frozen=True)
class StoCuReNU(Settings):
    """Cubic Newton steps on fresh samples, from products alone; no Hessian is ever stored.

    With `single_step` the anchored objective is first lowered by one step on a large sample, or
    by the response along training where that kept checkpoints; where examples set aside and the
    forget set's loss say that it is enough, it is the result. Otherwise, from there:

    As `CuReNU`, with g and H over `sample_size` retained examples drawn anew at every step
    and a share of the forget set; `hvp_size`, if given, draws a second, independent sample
    for the products. The result is the mean over the last `average` of the steps, which
    takes out most of the samples' noise. With the anchored objective, retained examples set
    aside choose the penalty of every third step, halve a step that loses too much on them and
    draw back a result whose last part brings nothing; one that does not lower the objective on
    them is tried again on larger samples. With `preconditioner="none"` the
    number of vectors `[d]` held does not depend on anything but the solver. `memory_budget`
    is as in `CuReNU`. Cost per step: one gradient, the solver's products and a value on the
    sample.
    Equations (1), (2), (5), (6), (8) and (10) of `docs/theory.md`.
    """

    objective: Aim = "anchored"
    # No second block: a sample's gradient hides nothing, and three products would find little.
    solver: str | CubicSolver = LanczosSolver(max_products=3, hidden_products=0)
    penalty: Penalty = "auto"
    curvature: Curvature = "auto"
    preconditioner: Preconditioner = "auto"
    sample_size: Count = 1280
    hvp_size: Count | None = None
    single_step: bool = True
    max_steps: Count = 7
    average: BelowOne = 0.6
    tolerance: BelowOne = 0.0
    certificate_products: ZeroOrMore = 0
    memory_budget: Bytes | None = None
    tuning: Tuning = Tuning()

    def __post_init__(self) -> None:
        super().__post_init__()
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
            objective="retain",
            solver=DescentSolver(iterations=inner_steps, step_size=step_size),
            penalty=penalty,
            curvature="hessian",
            preconditioner="none",
            sample_size=sample_size,
            hvp_size=hvp_size,
            max_steps=max_steps,
            average=0.0,
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
            sample_size=self.sample_size,
            hvp_size=self.hvp_size,
            average=self.average,
            single_step=self.single_step,
        )
