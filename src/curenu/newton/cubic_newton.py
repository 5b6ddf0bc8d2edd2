"""The outer loop that CuReNU and StoCuReNU share: cubic steps, judged and averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from curenu.autodiff import Kind
from curenu.budgets import BASIS_MEMORY, Memory
from curenu.cubic import CubicModel, CubicSolver, LanczosSolver
from curenu.erasure import Certificate, Erasure, ErasureProblem, Plan, StepRecord
from curenu.newton.adaptive import (
    Judge,
    Penalty,
    Point,
    accept,
    first_penalty,
)
from curenu.newton.allowance import Allowance
from curenu.newton.certifying import certify
from curenu.newton.iterates import Draw, Found, TailMean
from curenu.newton.large_step import LargeStep
from curenu.newton.plan import planned, steps_cost
from curenu.newton.target import (
    Aim,
    Curvature,
    Preconditioner,
    Target,
    aim_at,
)
from curenu.newton.tuning import Tuning
from curenu.operators import Coordinates
from curenu.risks import AnchoredRisk, Objective
from curenu.status import Advice, Status

__all__ = ["CubicNewton"]


@dataclass(frozen=True)
class CubicNewton:
    """Repeat theta ← theta + argmin m(s), with the penalty M fixed or found on the way.

    Ends when |g| ≤ `tolerance` times the first |g| and the smallest Ritz value is at least
    −√(M eps), when the decrease the model promises is below the objective's rounding, when
    no penalty gives a decrease, or after `max_steps`, which is no result (`Status.AWAY`) where the
    certificate shows a longer gradient than the first. Gradient and products come from
    `sample_size` examples drawn anew at every step (None: all), products from `hvp_size` of
    their own if given. With the anchored objective, examples set aside choose a sampled
    step's penalty, and a result that does not lower the objective on them is tried again on
    larger samples; otherwise the ratio test chooses. With `single_step` one step on a large
    sample comes first, which is the result where nothing speaks against it. `average` is the
    share of the last steps whose mean is the result (0: the last step alone); `memory` is what
    may be kept.
    Equations (2), (6) and (7) of `docs/theory.md`.
    """

    objective: Aim
    solver: CubicSolver
    penalty: Penalty
    curvature: Curvature
    preconditioner: Preconditioner
    max_steps: int
    tolerance: float
    certificate_products: int
    sample_size: int | None = None
    hvp_size: int | None = None
    average: float = 0.0
    single_step: bool = False
    memory: Memory = Memory()
    tuning: Tuning = Tuning()

    def plan(self, problem: ErasureProblem) -> Plan:
        """Upper bound of the work on the first sample: all products, two values a step."""
        own = planned(self, problem)
        if self.judged and problem.training.total is None:
            other = planned(self._to_the_minimum(), problem)
            return other if other.examples > own.examples else own
        return own

    def run(self, problem: ErasureProblem, generator: torch.Generator) -> Erasure:
        """Iterate from `problem.start`, check on held-out examples, certify where it ended."""
        allowance = Allowance.of(problem, self.tuning, bounded=self.judged)
        with problem.retain.meter.measure() as spent:
            target = aim_at(
                problem,
                self.objective,
                self.curvature,
                self.preconditioner,
                self.tuning,
                generator,
                self.memory,
                allowance,
            )
            loop = self._to_the_minimum() if target.converged and self.judged else self
            found = loop._found(problem, target, generator)
            certificate = certify(self, target.objective, found, generator)
        notes = (*target.notes, *found.notes)
        status = Status.AWAY if _led_away(target, found, certificate) else found.status
        warm = found.first if self.penalty == "auto" and status.ok else None
        return Erasure(found.theta, status, spent(), found.trace, certificate, notes, warm)

    @property
    def judged(self) -> bool:
        """Whether steps are sampled, and judged on examples set aside."""
        sampled = self.sample_size is not None and self.hvp_size is None
        return sampled and self.objective == "anchored" and self.penalty == "auto"

    def _to_the_minimum(self) -> CubicNewton:
        """The same with every example in value and gradient, a sample in the products alone.

        A sampled gradient leaves its noise in the result; with an exact one the noise of the
        products only slows the steps down, and the minimum is reached.
        """
        solver = self.solver
        if isinstance(solver, LanczosSolver):
            solver = replace(solver, max_products=self.tuning.minimum_products)
        return replace(
            self,
            solver=solver,
            sample_size=None,
            hvp_size=self.sample_size,
            average=0.0,
            max_steps=max(self.max_steps, self.tuning.minimum_steps),
            tolerance=max(self.tolerance, self.tuning.minimum_tolerance),
        )

    def _found(self, problem: ErasureProblem, target: Target, generator: torch.Generator) -> Found:
        """One large step where that is enough, otherwise the steps; none where nothing pulls."""
        objective = target.objective
        anchored = isinstance(objective, AnchoredRisk) and problem.anchor is None
        if anchored and not cast(AnchoredRisk, objective).gradient_at_start.any():
            return Found(problem.start.clone(), Status.CONVERGED, (), None, None)
        large = self._large_step(problem, target)
        outcome = None if large is None else large(generator)
        if outcome is None:
            return self._within(problem, target, generator)
        if outcome.doubt is None:
            notes = (outcome.note,)
            return Found(outcome.theta, Status.SCHEDULE_DONE, outcome.trace, None, None, notes)
        best = problem.start.clone() if outcome.doubt.harms else outcome.theta
        onward = replace(target, coordinates=Coordinates(best, target.coordinates.metric))
        found = self._within(problem, onward, generator)
        linear = not outcome.doubt.bends and not outcome.doubt.harms  # a right step, if too short
        if found.status is Status.NO_GAIN and linear:
            said = (*found.notes, "the further steps brought nothing, and were gone back on")
            found = replace(found, theta=best, status=Status.SCHEDULE_DONE, notes=said)
        advice = (str(Advice.BENDS),) if outcome.doubt.bends else ()
        notes = (f"{outcome.note}, and more steps: {outcome.doubt.why}", *found.notes, *advice)
        return replace(found, trace=(*outcome.trace, *found.trace), notes=notes)

    def _within(self, problem: ErasureProblem, target: Target, generator: torch.Generator) -> Found:
        """The steps on samples as large as may be paid for; none where those are too small."""
        size = min(self.sample_size or problem.retain.size, problem.retain.size)
        least = min(-(-size // 2), self.tuning.least_sample)
        for steps in (self.max_steps, *self.tuning.fewer_steps):
            fewer = replace(self, max_steps=min(steps, self.max_steps))
            fitting = target.allowance.fitting(size, *steps_cost(fewer, problem, target.curvature))
            if fitting >= least:
                break
        else:
            theta = target.coordinates.theta(target.coordinates.start)
            return Found(theta, Status.COST_LIMIT, (), None, None)
        if not self.judged or (fitting == size and steps == self.max_steps):
            return self._tried(problem, target, generator)
        found = replace(fewer, sample_size=fitting)._tried(problem, target, generator)
        note = f"{fewer.max_steps} steps on {fitting} examples, for half of a retraining's cost"
        return replace(found, notes=(note, *found.notes))

    def _large_step(self, problem: ErasureProblem, target: Target) -> LargeStep | None:
        """None where the minimum is the aim, or an earlier model is what is anchored at."""
        limited = target.limit is not None and target.limit.curvature > 0.0
        stops = limited and not self.tolerance and not self.certificate_products
        if not (self.single_step and self.judged and stops) or problem.anchor is not None:
            return None
        return LargeStep(problem, target, self.tuning, self.memory)

    def _tried(self, problem: ErasureProblem, target: Target, generator: torch.Generator) -> Found:
        """The result on samples large enough that it is one on examples set aside, too."""
        objective = target.objective
        size = self.sample_size or objective.size
        apart = self.held(objective.size)
        if apart == 0 or not isinstance(objective, AnchoredRisk):
            return self._iterate(problem, target, size, generator)
        rest, held = objective.hold_out(apart, generator)
        target = replace(target, objective=rest)
        before = float(held.value(problem.start))
        few = held.sample(-(-held.size // self.tuning.glanced), generator)
        few_before = float(few.value(problem.start))
        trace: tuple[StepRecord, ...] = ()
        while True:
            judge = Judge(target.coordinates.view(few), few_before, self.tuning)
            found = self._iterate(problem, target, size, generator, judge)
            trace += found.trace
            after, rounding = held.measure(found.theta)
            if float(after) <= before + self.tuning.certain * rounding:
                aside = Judge(few, few_before, self.tuning)
                theta, share = aside.draw_back(problem.start, found.theta)
                larger = () if size == self.sample_size else (f"samples grown to {size}",)
                drawn = () if share == 1.0 else (f"drawn back to {share:.0%} of the way",)
                return replace(found, theta=theta, trace=trace, notes=larger + drawn)
            if problem.penalty is not None:  # the request before's may be what failed
                problem = replace(problem, penalty=None)
                continue
            grown = size * self.tuning.growth
            if (
                size >= rest.size
                or target.allowance.fitting(grown, *steps_cost(self, problem, target.curvature))
                < grown
            ):
                start = problem.start.clone()
                return replace(found, theta=start, status=Status.NO_GAIN, trace=trace)
            del found  # a vector less while the next is looked for
            size = grown

    def held(self, size: int) -> int:
        """How many retained examples are set aside: none where a sample would be all the rest."""
        if self.objective != "anchored" or self.sample_size is None:
            return 0
        apart = min(max(self.sample_size, self.tuning.held), size // 5)
        return apart if self.sample_size < size - apart else 0

    def draw(self, objective: Objective, size: int, generator: torch.Generator) -> Draw:
        gradient = objective.sample(size, generator)
        if self.hvp_size is None:
            return Draw(gradient, gradient)
        return Draw(gradient, objective.sample(self.hvp_size, generator))

    def _iterate(
        self,
        problem: ErasureProblem,
        target: Target,
        size: int,
        generator: torch.Generator,
        judge: Judge | None = None,
    ) -> Found:
        coordinates = target.coordinates
        t = coordinates.start
        mean = TailMean(math.ceil(self.max_steps * (1.0 - self.average)))
        penalty = problem.penalty if self.penalty == "auto" else float(self.penalty)
        goal: float | None = None
        first: float | None = None
        trace: list[StepRecord] = []
        status = Status.STEP_LIMIT if self.tolerance else Status.SCHEDULE_DONE
        for _ in range(self.max_steps):
            if trace and target.allowance.left <= 0:
                status = Status.COST_LIMIT
                break
            products = problem.retain.meter.hvps
            draw = self.draw(target.objective, size, generator).seen(coordinates)
            point = self._point(t, draw, target.curvature)
            goal = self.tolerance * point.gradient_norm if goal is None else goal
            if penalty is None:
                penalty = first_penalty(point, self.tuning)
            model = CubicModel(point.gradient, point.curvature, penalty)
            factorised = self.solver.factorise(model, generator=generator)
            if judge is None or self.penalty != "auto":
                step, ending, record, penalty = accept(
                    point,
                    factorised,
                    penalty,
                    goal,
                    adapt=self.penalty == "auto",
                    moved=bool(trace),
                    tuning=self.tuning,
                )
            else:
                factors = self.tuning.factors(len(trace))
                step, record, penalty = judge.choose(point, factorised, penalty, factors)
                ending = None
            products = problem.retain.meter.hvps - products
            trace.append(problem.report(replace(record, products=products)))
            if step is not None:
                t = t + step.step if judge is None else judge.bounded(t, step.step)
                mean.add(t)
                first = penalty if first is None else first
            if ending is not None:
                status = ending
                break
        return Found(coordinates.theta(mean.of(t)), status, tuple(trace), penalty, first)

    def _point(self, t: Tensor, draw: Draw, kind: Kind) -> Point:
        curvature = draw.curvature.linearise(t, curvature=kind, memory_budget=self.memory.graphs)
        if draw.gradient is draw.curvature:
            return Point(t, draw.gradient, curvature.value, curvature.gradient, curvature)
        value = float(draw.gradient.value(t)) if self.penalty == "auto" else None
        return Point(t, draw.gradient, value, draw.gradient.gradient(t), curvature)

    def basis_bytes(self) -> int:
        """Bytes of Krylov vectors that the certificate may keep."""
        return BASIS_MEMORY if self.memory.basis is None else self.memory.basis


def _led_away(target: Target, found: Found, certificate: Certificate | None) -> bool:
    """Whether the last step ended where the gradient is longer than before the first.

    The tilted objective of a loss that hides its outputs is the retain objective with another
    gradient at theta0; where its Hessian is indefinite there need not be a minimum near, and
    steps that lower it lead ever further. Looked at where both gradients are over all examples
    and measured alike.
    """
    if found.status is not Status.STEP_LIMIT or certificate is None or not certificate.exact:
        return False
    before = found.trace[0].gradient_norm
    if target.coordinates.metric is not None or before is None:
        return False
    return certificate.gradient_norm > before
