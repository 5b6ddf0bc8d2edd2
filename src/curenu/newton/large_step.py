"""One step on a large sample, as far as examples set aside confirm it: what most requests need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from curenu.budgets import BASIS_MEMORY, Memory
from curenu.cost import FORWARD, GRADIENT, PRODUCT
from curenu.erasure import ErasureProblem, StepRecord
from curenu.newton.krylov_steps import krylov_steps
from curenu.newton.response import Response
from curenu.newton.target import Target
from curenu.newton.tuning import Tuning
from curenu.operators import inner, kept_vectors, length
from curenu.risks import AnchoredRisk, EmpiricalRisk, forget_beside

__all__ = ["LargeStep", "Outcome", "large_step_examples", "most_kept"]


class Doubt(NamedTuple):
    """Why a step is not enough; whether the network does not answer linearly, or is harmed."""

    why: str
    bends: bool = False
    harms: bool = False


@dataclass(frozen=True)
class Outcome:
    """Where it led, `[d]`, and by what steps; `doubt` says why that is not enough."""

    theta: Tensor
    trace: tuple[StepRecord, ...]
    note: str
    doubt: Doubt | None = None


@dataclass(frozen=True)
class LargeStep:
    """theta0 − H⁻¹g of the anchored objective, H from one sample, in a Krylov space.

    At theta0 the gradient is the forget set's pull, which is known exactly, so that only the
    products are sampled. Each further product resolves flatter directions, in which the sample's
    noise is a larger part: the space grows until the objective on examples set aside falls less
    than a share of the most that it did, and the largest space above that share is taken.

    It is enough where the network answers nearly linearly. `doubt` is raised where the forget
    set's loss does not change as its quadratic model says, where it bends far from its slope,
    where the retained loss rises by more than a share of what the forget set's does, and where
    the forget set was never fitted: its pull is then no small perturbation. Of what half a
    retraining costs it takes half at most.
    """

    problem: ErasureProblem
    target: Target
    tuning: Tuning
    memory: Memory = Memory()

    def __call__(self, generator: torch.Generator) -> Outcome | None:
        """The step and what is thought of it; None where too little may be passed or set aside."""
        objective = self.target.objective
        if not isinstance(objective, AnchoredRisk):
            return None
        apart = min(self.tuning.large_held, objective.size // 5)
        apart = self.target.allowance.fitting(
            apart, FORWARD * (self._products() + 2), 0.0, share=0.1
        )
        if apart < 1:
            return None
        rest, held = objective.hold_out(apart, generator)
        size, products = self._size(rest.size, held.size)
        if size < min(self.tuning.least_sample, large_sample(rest.size, self.tuning)):
            return None
        training = self.problem.training
        if training.checkpoints and training.adaptive_batch is None:
            return self._along_training(held, generator)
        theta, record, rose = self._step(rest.sample(size, generator), held, products)
        note = f"one step on {size} examples, {record.products} products"
        if training.checkpoints:
            note += ", checkpoints of an adaptive optimiser left aside"
        said = "the objective rose on examples set aside"
        doubt = Doubt(said, harms=True) if rose else None
        return Outcome(theta, (record,), note, doubt or self._doubt(theta, held, generator))

    def _along_training(self, held: AnchoredRisk, generator: torch.Generator) -> Outcome:
        """The same with the pull at each checkpoint, not only at the last model."""
        metric = self.target.coordinates.metric is not None
        size, products = self._size(self.problem.retain.size, held.size)
        respond = Response(
            self.problem,
            self.target.curvature,
            metric,
            products,
            self.tuning,
            self.memory.graphs,
        )
        theta, trace = respond(size, generator)
        note = f"response along training, {len(trace)} checkpoints, {size} examples"
        return Outcome(theta, trace, note, self._doubt(theta, held, generator))

    def _size(self, among: int, held: int) -> tuple[int, int]:
        """(examples of the sample, products): as many as half of what is left allows.

        Rather few products than a small sample.
        """
        wanted, most = large_sample(among, self.tuning), self._products()
        size, parts = 0, max(1, len(self.problem.training.checkpoints))
        share = 1.0 + forget_beside(self.problem.retain.size, self.problem.forget.size)
        for products in (most, max(1, most // 2)):
            each = share * PRODUCT[self.target.curvature] * products * parts
            judging = share * FORWARD * held * (products + 2)
            size = self.target.allowance.fitting(wanted, each, judging, share=0.5)
            if size >= min(wanted, 4 * self.tuning.least_sample):
                return size, products
        return size, max(1, most // 2)

    def _products(self) -> int:
        metric = self.target.coordinates.metric is not None
        return self.tuning.most_products(metric, most_kept(self.problem.start, self.memory))

    def _step(
        self, sample: AnchoredRisk, held: AnchoredRisk, most: int
    ) -> tuple[Tensor, StepRecord, bool]:
        """The step of the largest space whose fall on `held` is a share of the best.

        Whether the objective rose there, beyond rounding, is said as well.
        """
        start, coordinates = self.problem.start, self.target.coordinates
        curvature = coordinates.seen(
            sample.linearise(
                start, curvature=self.target.curvature, memory_budget=self.memory.graphs
            )
        )
        gradient = coordinates.slope(sample.gradient_at_start)
        before = float(held.value(start))
        theta, record, lowest, rose = start, StepRecord(), 0.0, False
        reach = self.tuning.longest * max(1.0, length(start))
        steps = krylov_steps(curvature, gradient, most, reach)
        for products, (step, damping) in enumerate(steps, start=1):
            point = start + coordinates.step(step)
            after, rounding = held.measure(point)
            change = float(after) - before
            lowest = min(lowest, change)
            if products > 1 and change > self.tuning.worth * lowest:
                break
            theta, rose = point, change > self.tuning.certain * rounding
            record = StepRecord(
                gradient_norm=length(gradient),
                damping=damping,
                step_norm=length(step),
                products=products,
            )
        return theta, self.problem.report(record), rose

    def _doubt(self, theta: Tensor, held: AnchoredRisk, generator: torch.Generator) -> Doubt | None:
        """Why the step is not to be trusted; None where nothing speaks against it."""
        start, tuning = self.problem.start, self.tuning
        each = GRADIENT + PRODUCT[self.target.curvature] + FORWARD
        few = self.target.allowance.fitting(tuning.large_held, each, 0.0, share=0.1)
        few = min(tuning.large_held, max(tuning.least_sample, few))
        forget = self.problem.forget.sample(few, generator)
        model = forget.linearise(start, curvature=self.target.curvature)
        retain = self.problem.retain.subset(held.ids)
        fitted = _loss(retain, start, float(retain.value(start)))
        if (gone := _loss(forget, start, model.value)) > tuning.large_fitted * fitted:
            told = f"mean loss {gone:.3g}, retained {fitted:.3g}"
            return Doubt(f"the forget set was not fitted ({told})")
        step = theta - start
        linear = inner(model.gradient, step)
        expected = linear + 0.5 * inner(model @ step, step)
        after, rounding = forget.measure(theta)
        change = float(after) - model.value
        if abs(change - expected) <= tuning.certain * rounding:
            return None
        rise = _loss(retain, theta, float(retain.value(theta))) - fitted
        if rise > tuning.large_harm * max(abs(change), fitted):
            said = f"the retained loss rose by {rise:.3g}, the forget set's by {change:.3g}"
            return Doubt(said, bends=True, harms=True)
        least, most = tuning.large_agrees
        if expected == 0.0:
            answer = f"by {change:.2g}, where no change was expected"
        elif not least <= change / expected <= most:
            answer = f"{change / expected:.2f} times as was expected"
        elif linear != 0.0 and change > tuning.large_bend * linear:
            answer = f"{change / linear:.2f} times as its slope says"
        else:
            return None
        return Doubt(f"the forget set's loss changed {answer}", bends=True)


def most_kept(start: Tensor, memory: Memory) -> int:
    """How many Krylov vectors a large step may keep, all of them."""
    return kept_vectors(start, BASIS_MEMORY if memory.basis is None else memory.basis)


def large_step_examples(
    tuning: Tuning, products: int, retain: int, forget: int, checkpoints: int
) -> tuple[int, int]:
    """How many examples a large step passes at most: (by gradients and products, forward only)."""
    held, few = min(tuning.large_held, retain // 5), min(tuning.large_held, forget)
    aside = math.ceil(held * (1.0 + forget_beside(retain, forget)))
    each = large_sample(retain, tuning) * (products + 1) + forget
    each += min(tuning.metric_size, retain)
    return max(1, checkpoints) * each + 2 * few, aside * (products + 2) + 2 * held + few


def large_sample(retain: int, tuning: Tuning) -> int:
    """A share of what is there, and all of it where little would be left out."""
    size = max(tuning.large_sample, round(tuning.large_share * retain))
    return size if size < 0.75 * retain else retain


def _loss(risk: EmpiricalRisk, theta: Tensor, value: float) -> float:
    """The mean loss in the objective's `value` at theta, without weight decay."""
    return value - 0.5 * risk.weight_decay * float(theta.double().square().sum())
