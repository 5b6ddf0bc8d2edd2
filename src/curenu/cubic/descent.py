"""The minimiser of a cubic model by gradient descent: two vectors beside the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from curenu.cost import Cost, Meter
from curenu.cubic.model import Budget, CubicModel, CubicStep
from curenu.errors import NotConverged
from curenu.operators import extreme_eigenvalues, inner, length, random_direction
from curenu.settings import NotNegative, Positive, Settings, ZeroOrMore
from curenu.status import Status

__all__ = ["DescentFactorisation", "DescentSolver"]

_NORM_PRODUCTS = 3  # Lanczos steps for |H|
_SLACK = 1e-5  # relative rise of m that is rounding, in float32 as well


@dataclass(frozen=True)
class DescentSolver(Settings):
    """Gradient descent on the cubic model from the Cauchy point, as in StoCuReNU.

    s_0 = −R_c g/|g|,  R_c = −a + √(a² + 2|g|/M),  a = g·Hg/(M|g|²),
    s ← s − η (g̃ + Hs + (M/2)|s| s),  g̃ = g + σz,  z uniform on the unit sphere.

    `iterations` is the published T_inner, `step_size` η, `perturbation` σ in the units of
    the gradient. "auto" sets η = 1/(4(β + (M/2)R)) with β ≥ |H| from 3 Lanczos products and
    R = (β + √(β² + 2M|g̃|))/M, the largest |s| that (M/2)R² − βR = |g̃| allows. Costs
    iterations + 2 products (+ 3 for "auto") and four vectors of length d beside g, one
    more when σ > 0. The step of the lowest m(s) met is returned with its measured residual.

    Raises `NotConverged` when the iteration diverges: η exceeds 2 over the largest
    eigenvalue. With g = 0 the start is the Cauchy point of g̃; σ = 0 then stays at 0.
    Source: Carmon and Duchi, Gradient descent finds the cubic-regularized nonconvex Newton
    step, 2019, section 2.3 of `docs/theory.md`; differs in: the best step, not the last.
    """

    iterations: ZeroOrMore = 10
    step_size: Positive | Literal["auto"] = "auto"
    perturbation: NotNegative = 0.0

    def budget(self, dimension: int) -> Budget:
        """Cauchy start, iterations, a last look, and the norm estimate for "auto"."""
        return Budget(
            products=self.iterations + 2 + (_NORM_PRODUCTS if self.step_size == "auto" else 0),
            vectors=4 + (self.perturbation > 0.0),
        )

    def factorise(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> DescentFactorisation:
        """Draw z and estimate |H| once; every penalty then descends anew.

        `generator` draws z and the start of the norm estimate.
        """
        meter = Meter()
        source = generator if generator is not None else torch.Generator().manual_seed(0)
        with meter.measure() as spent:
            pull, norm = model.gradient.detach(), None
            if self.perturbation > 0.0:
                pull = random_direction(pull, source).mul_(self.perturbation).add_(pull)
            if self.step_size == "auto":
                ends = extreme_eigenvalues(model.curvature, pull, _NORM_PRODUCTS, source)
                meter.hvps += ends.products
                norm = ends.norm
            return DescentFactorisation(model, self, pull, norm, meter, spent)

    def __call__(self, model: CubicModel, *, generator: torch.Generator | None = None) -> CubicStep:
        """The step of `model`."""
        return self.factorise(model, generator=generator).solve(model.penalty)


@dataclass(frozen=True)
class DescentFactorisation:
    """A cubic model with its perturbed gradient g̃ = `pull` and |H| ≤ `norm` (or None)."""

    model: CubicModel = field(repr=False)
    solver: DescentSolver
    pull: Tensor = field(repr=False)
    norm: float | None
    meter: Meter = field(repr=False)
    spent: Callable[[], Cost] = field(repr=False)

    def solve(self, penalty: float) -> CubicStep:
        """The best step of a fresh descent for M = `penalty`; iterations + 2 products."""
        model = replace(self.model, penalty=penalty)
        best, change, residual = self._descend(model, self._step_size(penalty))
        return CubicStep(
            step=best,
            damping=model.damping(best),
            status=Status.SCHEDULE_DONE,
            hard_case=False,
            residual=residual,
            change=change,
            cost=self.spent(),
        )

    def _descend(self, model: CubicModel, eta: float) -> tuple[Tensor, float, float]:
        """The best step met, its m and its |∇m|."""
        iterations, pull = self.solver.iterations, self.pull
        step = _cauchy(model, pull, self.meter)
        best, change, residual = torch.zeros_like(step), 0.0, length(model.gradient)
        first = math.nan
        for done in range(iterations + 1):
            image = model.product(step)
            self.meter.hvps += 1
            now = model.change_from(step, image)
            # Descent is on the model of g̃, so that is what a sound η must lower.
            tilted = now - inner(model.gradient, step) + inner(pull, step)
            first = tilted if done == 0 else first
            worse = done == iterations and tilted > first + _SLACK * abs(first)
            if worse or not math.isfinite(tilted):
                raise _diverged(model, eta, done)
            slope = image.add(step, alpha=model.damping(step))
            del image  # before the next vector is made
            if now < change:
                best.copy_(step)
                change, residual = now, length(slope + model.gradient)
            if done < iterations:
                step.sub_(slope.add_(pull), alpha=eta)
            del slope
        return best, change, residual

    def _step_size(self, penalty: float) -> float:
        if self.norm is None:
            return float(self.solver.step_size)
        bound = 0.5 * (self.norm + math.sqrt(self.norm**2 + 2.0 * penalty * length(self.pull)))
        total = self.norm + bound  # β + (M/2)R
        return 0.25 / total if total > 0.0 else 1.0  # H = 0 and g = 0: nothing moves


def _cauchy(model: CubicModel, pull: Tensor, meter: Meter) -> Tensor:
    """Minimiser of m along −g, or along −g̃ when g = 0; one product."""
    direction = model.gradient.detach()
    size = length(direction)
    if size == 0.0:
        direction, size = pull, length(pull)
    if size == 0.0:
        return torch.zeros_like(direction)
    unit = direction / size
    a = inner(unit, model.product(unit)) / model.penalty
    meter.hvps += 1
    root = math.sqrt(a * a + 2.0 * size / model.penalty)
    # −a + root cancels for a > 0; the same number as a quotient does not.
    radius = root - a if a <= 0.0 else 2.0 * size / model.penalty / (a + root)
    return unit.mul_(-radius)


def _diverged(model: CubicModel, eta: float, done: int) -> NotConverged:
    highest = extreme_eigenvalues(model.curvature, model.gradient, 10).largest.value
    limit = f"2/lambda_max, {2.0 / highest:.3g} here" if highest > 0.0 else "2/lambda_max"
    return NotConverged(
        f"Descent on the cubic model diverged within {done} iterations: "
        f"step_size {eta:.3g} must stay below {limit}.",
        'step_size="auto", a smaller one, or `LanczosSolver`, which has none.',
    )
