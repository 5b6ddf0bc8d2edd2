"""The penalty: by the ratio test on the step's own examples, or by what others say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from curenu.cubic import CubicStep, Factorised
from curenu.erasure import StepRecord
from curenu.errors import IllPosed
from curenu.newton.tuning import Tuning
from curenu.operators import length
from curenu.risks import Linearised, Objective
from curenu.settings import Positive
from curenu.status import Status

__all__ = ["Accepted", "Judge", "Penalty", "Point", "accept", "first_penalty", "measured"]

Penalty = Positive | Literal["auto"]
Factors = tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """The objective around theta: value (None if nobody asks), gradient and curvature."""

    theta: Tensor
    objective: Objective
    value: float | None
    gradient: Tensor
    curvature: Linearised

    @property
    def gradient_norm(self) -> float:
        return length(self.gradient)


class Accepted(NamedTuple):
    """A step to take (None: stay), why to end with it (None: go on), its record, the next M."""

    step: CubicStep | None
    status: Status | None
    record: StepRecord
    penalty: float


def accept(
    point: Point,
    factorised: Factorised,
    penalty: float,
    goal: float,
    *,
    adapt: bool,
    moved: bool = True,
    tuning: Tuning = Tuning(),
) -> Accepted:
    """A step by the ratio test on the step's own examples, or why there is none.

    A decrease too small for values to tell is taken on the model's word where nothing has
    `moved` yet, and ends the iteration.
    """
    step = factorised.solve(penalty)
    record = _record(point, step, penalty)
    lowest = 0.0 if step.lambda_min is None else step.lambda_min
    if point.gradient_norm <= goal and lowest >= -((penalty * goal) ** 0.5):
        return Accepted(None, Status.CONVERGED, replace(record, accepted=False), penalty)
    if not adapt or point.value is None:
        return Accepted(step, None, record, penalty)
    for _ in range(tuning.attempts):
        if not step.change < 0.0:
            return Accepted(None, Status.CONVERGED, replace(record, accepted=False), penalty)
        value, rounding = measured(point.objective, point.theta + step.step)
        if -step.change <= tuning.certain * rounding:
            untold = replace(record, accepted=not moved)
            return Accepted(None if moved else step, Status.CONVERGED, untold, penalty)
        rise = value - point.value
        rho = rise / step.change
        record = replace(_record(point, step, penalty), rho=rho)
        if rho >= tuning.reject:
            eased = penalty / tuning.ease if rho > tuning.expand else penalty
            return Accepted(step, None, record, eased)
        penalty = _raised(penalty, rise, step)
        step = factorised.solve(penalty)
    return Accepted(None, Status.STALLED, replace(record, accepted=False), penalty)


@dataclass
class Judge:
    """The objective on examples set aside, which no step is computed from.

    `before` is its value at the start, `lowest` the lowest it was seen at.
    """

    objective: Objective
    before: float
    tuning: Tuning = Tuning()
    lowest: float = math.inf

    def choose(
        self, point: Point, factorised: Factorised, penalty: float, factors: Factors
    ) -> tuple[CubicStep, StepRecord, float]:
        """A step by the penalty that lowers the objective most.

        From `penalty` on, each of `factors` is followed as long as it helps, until one has;
        with none of them `penalty` is kept. The model is solved anew for each penalty at no
        product; a trial costs one value. The step is taken with a fifth of the best penalty:
        the mean of the iterates forgives what a single one does not.
        """

        def trial(penalty: float) -> tuple[float, float]:
            return self._value(point.theta + factorised.solve(penalty).step), penalty

        best = trial(penalty) if factors else (math.nan, penalty)
        for factor in factors:
            moved = False
            for _ in range(self.tuning.attempts):
                other = trial(best[1] * factor)
                if not other[0] < best[0]:
                    break
                best, moved = other, True
            if moved:
                break
        taken = factorised.solve(best[1] * self.tuning.eager)
        return taken, _record(point, taken, best[1] * self.tuning.eager), best[1]

    def bounded(self, theta: Tensor, step: Tensor) -> Tensor:
        """theta + `step`, halved until it loses no more than the best point seen had gained."""
        most = self.before + max(0.0, self.before - self.lowest)
        point = theta + step
        for halvings in range(1, self.tuning.halvings + 1):
            if self._value(point) <= most:
                break
            torch.add(theta, step, alpha=0.5**halvings, out=point)
        return point

    def draw_back(self, start: Tensor, end: Tensor) -> tuple[Tensor, float]:
        """(a point on the way from `start` to `end`, its share of the way).

        The farthest of a few at which the objective falls by half of what it does at the best
        of them. What a step brings grows with
        its length, what its noise costs with the square: the last part of a way may bring
        nothing.
        """
        falls = {1.0: max(0.0, self.before - self._value(end))}
        for share in self.tuning.back:
            falls[share] = self.before - self._value(torch.lerp(start, end, share))
        share = next(
            share for share in falls if falls[share] >= self.tuning.worth * max(falls.values())
        )
        return (end if share == 1.0 else torch.lerp(start, end, share)), share

    def _value(self, theta: Tensor) -> float:
        value = _value(self.objective, theta)
        self.lowest = min(self.lowest, value)
        return value


def _record(point: Point, step: CubicStep, penalty: float) -> StepRecord:
    return StepRecord(
        value=point.value,
        gradient_norm=point.gradient_norm,
        penalty=penalty,
        damping=step.damping,
        step_norm=length(step.step),
        lambda_min=step.lambda_min,
    )


def _value(objective: Objective, theta: Tensor) -> float:
    """F(theta); a point out of the domain counts as +inf."""
    try:
        return float(objective.value(theta))
    except IllPosed:
        return float("inf")


def measured(objective: Objective, theta: Tensor) -> tuple[float, float]:
    """F(theta) and its rounding; a point out of the domain counts as +inf."""
    try:
        value, rounding = objective.measure(theta)
    except IllPosed:
        return float("inf"), 0.0
    return float(value), rounding


def _raised(penalty: float, rise: float, step: CubicStep) -> float:
    """At least 2M, up to 100M: the M that would have bounded the rise just measured."""
    size = length(step.step)
    measured = penalty + 6.0 * (rise - step.change) / size**3
    return min(max(2.0 * penalty, measured), 100.0 * penalty)


def first_penalty(point: Point, tuning: Tuning = Tuning()) -> float:
    """2|∇F(theta+s) − ∇F(theta) − Hs| / |s|² on a small step s down the gradient.

    The Cauchy step of the quadratic, held between two shares of |theta|: shorter, and rounding
    would pass for a third derivative. One gradient and one product. Never so small that the cubic
    term alone would allow a step longer than `tuning.longest` times |theta|.
    """
    size, scale = point.gradient_norm, _scale(point)
    tiny = max(size, torch.finfo(torch.float32).tiny)
    floor = 2.0 * tiny / (tuning.longest * scale) ** 2
    if size == 0.0:
        return max(1.0, floor)  # no scale to measure: any M finds the saddle's descent
    along = point.curvature @ point.gradient
    bend = abs(float(torch.dot(point.gradient.double(), along.double())))
    cauchy = size**3 / bend if bend > 0 else float("inf")
    least, most = (share * scale for share in tuning.probe)
    ratio = -min(max(cauchy, least), most) / size
    change = point.objective.gradient(point.theta + ratio * point.gradient) - point.gradient
    return max(2.0 * length(change - ratio * along) / (ratio * size) ** 2, floor)


def _scale(point: Point) -> float:
    return max(1.0, length(point.theta))
