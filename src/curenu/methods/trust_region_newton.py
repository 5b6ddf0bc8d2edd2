"""TrustRegionNewton: Newton steps within a radius that the model's agreement sets.

Source: Guo and Cao, "A Robust Certified Machine Unlearning Method Under Distribution Shift"
(arXiv 2601.06967), which has no code. Differs from the paper in: the step is the exact minimiser
within the ball (or within the ball of a Krylov space), the rule for the radius is the textbook one
(Nocedal and Wright, Numerical Optimization, algorithm 4.1), and its noise and its bound on the
gradient that is left are not built: this method promises nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.linear import RegionStep, region_model
from curenu.newton.adaptive import measured
from curenu.newton.precision import precision_examples, precision_notes
from curenu.operators import length
from curenu.risks import Linearised
from curenu.settings import BelowOne, Count, Positive, Rule, Settings
from curenu.status import Status

__all__ = ["TrustRegionNewton"]


@dataclass(frozen=True)
class TrustRegionNewton(Settings):
    """theta ← theta + argmin g·s + ½ s·Hs over |s| ≤ r, on the retain objective, all of D_r.

    With rho the actual over the predicted decrease: below .25 the radius is a quarter of |s|,
    above .75 at the boundary it doubles, and a step is taken above `accept`. At the radius |s| it
    is the cubic step of penalty M = 2 gamma/|s|: what differs is how the damping is found.
    A decrease too small for values to tell is taken on the model's word where nothing has moved
    yet, and ends the iteration. `max_products` None decomposes the dense H, and raises
    `UnsupportedModel`, naming the bytes, where it does not fit; a number is that of a Krylov space.

    Cost per step: one gradient, the products, one value an attempt.
    """

    radius: Positive = 1.0
    max_steps: Count = 4
    max_products: Count | None = 20
    accept: Annotated[float, Rule("a number in [0, .25)", lambda x: 0 <= x < 0.25)] = 0.1
    tolerance: BelowOne = 1e-3
    attempts: Count = 8

    def plan(self, problem: ErasureProblem) -> Plan:
        """Every step to its products (twice, where no basis is kept) and attempts."""
        retain, dense = problem.retain.size, self.max_products is None
        products = problem.retain.dimension if self.max_products is None else self.max_products
        light = self.max_steps * self.attempts * retain
        heavy = self.max_steps * retain * ((1 if dense else 1 + self.attempts) * products + 2)
        return Plan(
            heavy + light + precision_examples(problem),
            vectors=4 if dense else 6,
            matrices=3 if dense else 0,
            curvature="hessian",
            forward=light,
        )

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: minimise the retain objective from theta0."""
        theta, radius, status = problem.start, self.radius, Status.STEP_LIMIT
        trace: list[StepRecord] = []
        with problem.retain.meter.measure() as spent:
            notes = precision_notes(problem, "hessian")
            goal: float | None = None
            for _ in range(self.max_steps):
                curvature = problem.retain.linearise(theta)
                size = length(curvature.gradient)
                goal = self.tolerance * size if goal is None else goal
                if size <= goal:
                    status = Status.CONVERGED
                    break
                taken, ending, record, radius = self._step(problem, theta, curvature, radius)
                trace.append(problem.report(record))
                if taken is not None:
                    theta = theta + taken.step
                if ending is not None:
                    status = ending
                    break
        theta = theta.clone() if theta is problem.start else theta
        return Erasure(theta, status, spent(), tuple(trace), notes=notes)

    def _step(
        self, problem: ErasureProblem, theta: Tensor, curvature: Linearised, radius: float
    ) -> tuple[RegionStep | None, Status | None, StepRecord, float]:
        """A step to take (None: stay), why to end with it (None: go on), its record, the radius."""
        meter = problem.retain.meter
        before = meter.hvps
        model = region_model(curvature, curvature.gradient, max_products=self.max_products)
        step, rho, told = model.solve(radius), 0.0, True
        for attempt in range(self.attempts):
            if attempt:
                step = model.solve(radius)
            value, rounding = measured(problem.retain, theta + step.step)
            told = -step.change > 4.0 * rounding
            if not told:
                break
            rho = (value - curvature.value) / step.change
            if rho < 0.25:
                radius = 0.25 * step.size
            elif rho > 0.75 and step.size > 0.99 * radius:
                radius *= 2.0
            if rho > self.accept:
                break
        first = theta is problem.start
        taken = rho > self.accept if told else first
        record = StepRecord(
            value=curvature.value,
            gradient_norm=length(curvature.gradient),
            damping=step.damping,
            rho=rho if told else None,
            step_norm=step.size,
            lambda_min=float(model.values[0]),
            accepted=taken,
            products=meter.hvps - before,
        )
        ending = Status.CONVERGED if not told else None if taken else Status.STALLED
        return (step if taken else None), ending, record, radius
