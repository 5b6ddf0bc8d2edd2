"""ConstrainedNewton: a Newton step from a truncated series, held in a ball, and noise.

Source: Zhang, Dong, Wang and Li, "Towards Certified Unlearning for Deep Neural Networks" (ICML
2024). Differs from the paper in: weight decay is a squared norm, in gradient and Hessian alike
(their code has the norm itself); the step is projected to the ball before the noise is added, which
their code leaves out; the error of the series is measured by one product and added to the bound,
where the paper bounds it with high probability; and without the paper's condition on the damping
it runs only `without_guarantee`. At the published settings that condition fails on any trained
network: they have damping .01, and the largest eigenvalue is far above.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Constant, Erasure, ErasureProblem, Guarantee, Plan, StepRecord
from curenu.errors import BadRequest
from curenu.linear import lissa
from curenu.newton.precision import precision_examples, precision_notes
from curenu.operators import Recurrence, extreme_eigenvalues, length
from curenu.risks import Linearised
from curenu.settings import Count, InsideOne, NotNegative, Positive, Settings
from curenu.status import Status

__all__ = ["ConstrainedNewton"]


@dataclass(frozen=True)
class ConstrainedNewton(Settings):
    """theta0 − (H + damping I)⁻¹g, the inverse by a series, projected to |theta| ≤ C, plus noise.

    g and H are those of the retain objective, weight decay included. The inverse is the mean of
    `runs` recursions v ← v + g − (H_b + damping I)v/`scale` of `recursions` steps, each on
    `batch_size` examples drawn anew (see `curenu.linear.lissa`): with as many steps as `scale`,
    about (1 − e^(−h))/h per eigenvalue h, so the damping that acts is about 1. The result is
    projected to the ball of radius `norm_bound`, C, and N(0, `noise`² I) is added.

    If the damping is above |H|, |theta0| ≤ C, the Hessian is M-Lipschitz
    (`hessian_lipschitz`, None: unknown) and the oracle is a stationary point in the ball, then

        |theta − oracle| ≤ (2C(MC + damping) + |(H + damping I)s + g|) / (damping + lambda_min)

    before the noise, and `Erasure.guarantee` has the epsilon that follows at `delta`. |H| and a
    lower bound of lambda_min are measured by `norm_products` products on all of D_r, each true but
    for 1 % of their random starts. Where the damping is not above |H|, or |theta0| > C, there is no
    guarantee and `BadRequest` is raised before any step, unless `without_guarantee`, which measures
    nothing and promises nothing.

    Cost: `runs` · `recursions` products on a batch, one gradient and one product on D_r.
    """

    runs: Count = 10
    recursions: Count = 1000
    scale: Positive = 1000.0
    damping: NotNegative = 0.01
    batch_size: Count = 10
    noise: NotNegative = 1e-3
    norm_bound: Positive = 20.0
    hessian_lipschitz: NotNegative | None = None
    delta: InsideOne = 1e-5
    norm_products: Count = 10
    without_guarantee: bool = False

    def plan(self, problem: ErasureProblem) -> Plan:
        """All products of the series, one gradient and one product, and those that measure |H|."""
        retain = problem.retain.size
        products = self.runs * self.recursions * min(self.batch_size, retain)
        extra = 0 if self.without_guarantee else self.norm_products
        whole = (3 + extra) * retain + precision_examples(problem)
        return Plan(products + whole, vectors=7 + extra, curvature="hessian")

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one step, a projection and noise."""
        with problem.retain.meter.measure() as spent:
            precision = precision_notes(problem, "hessian")
            ends = None if self.without_guarantee else self._measured(problem, generator)
            gradient = problem.retain.gradient(problem.start)
            step = self._step(problem, gradient, generator)
            image = self._whole(problem) @ step
            residual = length(image.add_(step, alpha=self.damping).add_(gradient))
            theta = problem.start + step
            theta *= min(1.0, self.norm_bound / max(length(theta), 1e-300))
            drawn = torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
            theta.add_(drawn.to(theta.device), alpha=self.noise)
            record = StepRecord(
                gradient_norm=length(gradient),
                damping=self.damping,
                step_norm=length(step),
                products=self.runs * self.recursions,
            )
            problem.report(record)
        left = f"the series left {residual / max(length(gradient), 1e-300):.3g} of the gradient"
        guarantee = None if ends is None else self._guarantee(problem, ends, residual)
        said = ("no (epsilon, delta) guarantee",) if guarantee is None else guarantee.notes
        notes = (*said, left, *precision)
        return Erasure(
            theta, Status.SINGLE_STEP, spent(), (record,), notes=notes, guarantee=guarantee
        )

    def _step(
        self, problem: ErasureProblem, gradient: Tensor, generator: torch.Generator
    ) -> Tensor:
        """−(mean of the runs), `[d]`."""

        def draw() -> Linearised:
            sample = problem.retain.sample(self.batch_size, generator)
            return sample.linearise(problem.start, memory_budget=0)

        total = torch.zeros_like(gradient)
        for _ in range(self.runs):
            total -= lissa(
                draw,
                gradient,
                damping=self.damping,
                scale=self.scale,
                recursions=self.recursions,
            )
        return total.div_(self.runs)

    def _whole(self, problem: ErasureProblem) -> Linearised:
        """H over all of D_r, for what a promise or a note rests on."""
        return problem.retain.linearise(problem.start, memory_budget=0, full_precision=True)

    def _measured(self, problem: ErasureProblem, generator: torch.Generator) -> tuple[float, float]:
        """(|H| bounded from above, lambda_min bounded from below); raises without a guarantee."""
        advice = "`without_guarantee=True`, which gives the step and promises nothing, or retrain."
        size = length(problem.start)
        if size > self.norm_bound:
            raise BadRequest(
                f"|theta0| is {size:.4g}, above norm_bound {self.norm_bound:g}: no guarantee.",
                advice,
            )
        seen = extreme_eigenvalues(
            self._whole(problem),
            problem.start,
            self.norm_products,
            generator,
            keep=self.norm_products,
        ).recurrence
        assert seen is not None
        turned = Recurrence(tuple(-a for a in seen.diagonal), seen.off_diagonal, seen.dimension)
        lowest, highest = seen.lower_bound(), -turned.lower_bound()
        norm = max(abs(lowest), abs(highest))
        if self.damping <= norm:
            raise BadRequest(
                f"The guarantee needs a damping above |H|, which may be {norm:.4g} here (measured, "
                f"{self.norm_products} products); damping is {self.damping:g}.",
                f"a damping above it (more norm_products bound it closer), or {advice}",
            )
        return norm, lowest

    def _guarantee(
        self, problem: ErasureProblem, ends: tuple[float, float], residual: float
    ) -> Guarantee:
        (norm, lowest), bound, m = ends, self.norm_bound, self.hessian_lipschitz
        distance = None
        if m is not None:
            distance = 2.0 * bound * (m * bound + self.damping) + residual
            distance /= self.damping + lowest
        constants = (
            Constant("damping", self.damping, "chosen"),
            Constant("|H| at most", norm, "measured"),
            Constant("lambda_min at least", lowest, "measured"),
            Constant("|theta0|", length(problem.start), "measured"),
            Constant("norm_bound C", bound, "chosen"),
            Constant("residual of the series", residual, "measured"),
            Constant("Lipschitz constant M of H", m, "unknown" if m is None else "assumed"),
            Constant("gradient at the oracle", 0.0, "assumed"),
            Constant("|oracle| at most", bound, "assumed"),
        )
        return Guarantee(distance, self.noise, self.delta, constants)
