"""The outer loop that CuReNU and StoCuReNU share: cubic steps with a ratio test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from curenu.cubic import CubicModel, CubicSolver, CubicStep, Factorised
from curenu.curvature import extreme_eigenvalues
from curenu.erasure import Certificate, Erasure, ErasureProblem, Plan, StepRecord
from curenu.errors import BadRequest, IllPosed
from curenu.objective import Linearised, Objective
from curenu.status import Status

__all__ = ["CubicNewton", "Draw", "Penalty"]

Penalty = float | Literal["auto"]

_REJECT, _EXPAND = 0.1, 0.9  # thresholds on rho
_ATTEMPTS = 20  # re-solves of one model: a value each, and no product when the basis is kept
_LONGEST = 1e3  # no first penalty lets a step be longer than this many times |theta|


@dataclass(frozen=True)
class Draw:
    """The examples of one outer step: objectives for value and gradient, and for products."""

    gradient: Objective
    curvature: Objective


@dataclass(frozen=True)
class _Point:
    """The objective around theta: value (None if nobody asks), gradient and curvature."""

    theta: Tensor
    objective: Objective
    value: float | None
    gradient: Tensor
    curvature: Linearised

    @property
    def gradient_norm(self) -> float:
        return _norm(self.gradient)


@dataclass(frozen=True)
class CubicNewton:
    """Repeat theta ← theta + argmin m(s), with the penalty M fixed or by the ratio test.

    Ends when |g| ≤ `tolerance` times the first |g| and the smallest Ritz value is at least
    −√(M eps), when the decrease the model promises is below the objective's rounding, when
    no penalty gives a decrease, or after `max_steps`. Equations (2), (6) and (7) of
    `docs/theory.md`.
    """

    solver: CubicSolver
    penalty: Penalty
    max_steps: int
    tolerance: float
    certificate_products: int

    def __post_init__(self) -> None:
        given = self.penalty != "auto"
        if given and (isinstance(self.penalty, str) or not 0 < self.penalty < float("inf")):
            raise BadRequest(f"penalty={self.penalty!r}.", '"auto" or a positive number.')
        if self.max_steps < 1:
            raise BadRequest(f"max_steps={self.max_steps}.", "1 or more.")
        if not 0 <= self.tolerance < 1:
            raise BadRequest(f"tolerance={self.tolerance}.", "a number in [0, 1).")

    def plan(self, retain: Objective, gradient_size: int, curvature_size: int) -> Plan:
        """Upper bound of the work: every step to its product budget, one value a step."""
        budget = self.solver.budget(retain.dimension)
        auto = self.penalty == "auto"
        step = gradient_size * (3 if auto else 1) + curvature_size * (budget.products + 1)
        certificate = gradient_size + curvature_size * (self.certificate_products + 1)
        return Plan(
            examples=self.max_steps * step + certificate + auto * 2 * gradient_size,
            vectors=budget.vectors + 1,
            matrices=budget.matrices,
            curvature=True,
        )

    def run(
        self,
        problem: ErasureProblem,
        draw: Callable[[], Draw],
        generator: torch.Generator,
    ) -> Erasure:
        """Iterate from `problem.start` and certify where it ended."""
        theta = problem.start.clone()
        penalty = None if self.penalty == "auto" else float(self.penalty)
        goal: float | None = None
        trace: list[StepRecord] = []
        status = Status.STEP_LIMIT if self.tolerance else Status.SCHEDULE_DONE
        with problem.retain.meter.measure() as spent:
            for _ in range(self.max_steps):
                products = problem.retain.meter.hvps
                point = self._point(theta, draw())
                goal = self.tolerance * point.gradient_norm if goal is None else goal
                penalty = _first_penalty(point) if penalty is None else penalty
                model = CubicModel(point.gradient, point.curvature, penalty)
                factorised = self.solver.factorise(model, generator=generator)
                step, record, penalty = self._accept(point, factorised, penalty, goal)
                products = problem.retain.meter.hvps - products
                trace.append(problem.report(replace(record, products=products)))
                if isinstance(step, Status):
                    status = step
                    break
                theta = theta + step.step
            certificate = self._certify(problem, theta, draw(), penalty, generator)
        return Erasure(theta, status, spent(), tuple(trace), certificate)

    def _point(self, theta: Tensor, draw: Draw) -> _Point:
        curvature = draw.curvature.linearise(theta)
        if draw.gradient is draw.curvature:
            return _Point(theta, draw.gradient, curvature.value, curvature.gradient, curvature)
        value = float(draw.gradient.value(theta)) if self.penalty == "auto" else None
        return _Point(theta, draw.gradient, value, draw.gradient.gradient(theta), curvature)

    def _accept(
        self, point: _Point, factorised: Factorised, penalty: float, goal: float
    ) -> tuple[CubicStep | Status, StepRecord, float]:
        """The step to take, or why there is none; its record; the penalty to go on with."""
        step = factorised.solve(penalty)
        record = _record(point, step, penalty)
        lowest = 0.0 if step.lambda_min is None else step.lambda_min
        if point.gradient_norm <= goal and lowest >= -((penalty * goal) ** 0.5):
            return Status.CONVERGED, replace(record, accepted=False), penalty
        if self.penalty != "auto" or point.value is None:
            return step, record, penalty
        rounding = 8 * torch.finfo(point.theta.dtype).eps * abs(point.value)
        for _ in range(_ATTEMPTS):
            if -step.change <= rounding:
                return Status.CONVERGED, replace(record, accepted=False), penalty
            rise = _trial(point, step) - point.value
            rho = rise / step.change
            record = replace(_record(point, step, penalty), rho=rho)
            if rho >= _REJECT:
                return step, record, penalty / 2 if rho > _EXPAND else penalty
            penalty = _raised(penalty, rise, step)
            step = factorised.solve(penalty)
        return Status.STALLED, replace(record, accepted=False), penalty

    def _certify(
        self,
        problem: ErasureProblem,
        theta: Tensor,
        draw: Draw,
        penalty: float | None,
        generator: torch.Generator,
    ) -> Certificate | None:
        if not self.certificate_products or penalty is None:
            return None
        point = self._point(theta, draw)
        ends = extreme_eigenvalues(
            point.curvature,
            theta,
            max_products=self.certificate_products,
            generator=generator,
        )
        return Certificate(
            gradient_norm=point.gradient_norm,
            lambda_min=ends.smallest.value,
            lambda_min_residual=ends.smallest.residual,
            penalty=penalty,
            examples=min(draw.gradient.size, draw.curvature.size),
            population=problem.retain.size,
        )


def _record(point: _Point, step: CubicStep, penalty: float) -> StepRecord:
    return StepRecord(
        value=point.value,
        gradient_norm=point.gradient_norm,
        penalty=penalty,
        damping=step.damping,
        step_norm=_norm(step.step),
        lambda_min=step.lambda_min,
    )


def _trial(point: _Point, step: CubicStep) -> float:
    """F(theta + s) on the examples of the model; a step out of the domain counts as +inf."""
    try:
        return float(point.objective.value(point.theta + step.step))
    except IllPosed:
        return float("inf")


def _raised(penalty: float, rise: float, step: CubicStep) -> float:
    """At least 2M, up to 100M: the M that would have bounded the rise just measured."""
    length = _norm(step.step)
    measured = penalty + 6.0 * (rise - step.change) / length**3
    return min(max(2.0 * penalty, measured), 100.0 * penalty)


def _first_penalty(point: _Point) -> float:
    """2|∇F(theta+s) − ∇F(theta) − Hs| / |s|² on a small step s down the gradient.

    The Cauchy step of the quadratic, held to a hundredth of |theta|; one gradient and one
    product. Never so small that the cubic term alone would allow |s| > 1000 |theta|.
    """
    length, scale = point.gradient_norm, max(1.0, _norm(point.theta))
    floor = 2.0 * max(length, torch.finfo(torch.float32).tiny) / (_LONGEST * scale) ** 2
    if length == 0.0:
        return max(1.0, floor)  # no scale to measure: any M finds the saddle's descent
    along = point.curvature @ point.gradient
    bend = abs(float(torch.dot(point.gradient.double(), along.double())))
    cauchy = length**3 / bend if bend > 0 else float("inf")
    ratio = -min(cauchy, 0.01 * scale) / length
    change = point.objective.gradient(point.theta + ratio * point.gradient) - point.gradient
    return max(2.0 * _norm(change - ratio * along) / (ratio * length) ** 2, floor)


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))
