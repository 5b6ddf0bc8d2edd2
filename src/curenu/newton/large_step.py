"""One step on a large sample, as far as examples set aside confirm it: what most requests need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.cubic.eigen import solve_diagonal
from curenu.erasure import ErasureProblem, StepRecord
from curenu.newton.target import Target
from curenu.newton.tuning import Tuning
from curenu.operators import Curvature, KrylovSpace, inner, length
from curenu.risks import AnchoredRisk, EmpiricalRisk

__all__ = ["LargeStep", "Outcome", "large_step_examples"]


@dataclass(frozen=True)
class Outcome:
    """Where a step led, in coordinates `[d]`; `doubt` says why that is not enough."""

    t: Tensor
    record: StepRecord
    note: str
    doubt: str | None = None


@dataclass(frozen=True)
class LargeStep:
    """theta0 − H⁻¹g of the anchored objective, H from one sample, in a Krylov space.

    At theta0 the gradient is the forget set's pull, which is known exactly, so that only the
    products are sampled. Each further product resolves flatter directions, in which the sample's
    noise is a larger part: the space grows until the objective on examples set aside falls less
    than a share of the most that it did, and the largest space above that share is taken.

    It is enough where the network answers nearly linearly. `doubt` is raised where the forget
    set's loss does not change as its quadratic model says, where it bends far from its slope,
    and where the forget set was never fitted: its pull is then no small perturbation.
    """

    problem: ErasureProblem
    target: Target
    tuning: Tuning
    graphs: int | None = None  # bytes of differentiated graphs that may be kept

    def __call__(self, generator: torch.Generator) -> Outcome | None:
        """The step and what is thought of it; None where there is nothing to set aside."""
        objective = self.target.objective
        if not isinstance(objective, AnchoredRisk):
            return None
        apart = min(self.tuning.large_held, objective.size // 5)
        if apart < 1:
            return None
        rest, held = objective.hold_out(apart, generator)
        size = _sample_size(rest.size, self.tuning)
        t, record, rose = self._step(rest.sample(size, generator), held)
        note = f"one step on {size} examples, {record.products} products"
        doubt = "the objective rose on examples set aside" if rose else None
        theta = self.target.coordinates.theta(t)
        return Outcome(t, record, note, doubt or self._doubt(theta, held, generator))

    def _step(self, sample: AnchoredRisk, held: AnchoredRisk) -> tuple[Tensor, StepRecord, bool]:
        """The step of the largest space whose fall on `held` is a share of the best.

        Whether the objective rose there, beyond rounding, is said as well.
        """
        start, coordinates = self.problem.start, self.target.coordinates
        curvature = coordinates.seen(
            sample.linearise(start, curvature=self.target.curvature, memory_budget=self.graphs)
        )
        gradient = coordinates.slope(sample.gradient_at_start)
        before = float(held.value(start))
        t, record, lowest, rose = coordinates.start, StepRecord(), 0.0, False
        for products, (step, damping) in enumerate(self._grown(curvature, gradient), start=1):
            after, rounding = held.measure(coordinates.theta(coordinates.start + step))
            change = float(after) - before
            lowest = min(lowest, change)
            if products > 1 and change > self.tuning.worth * lowest:
                break
            t, rose = coordinates.start + step, change > self.tuning.certain * rounding
            record = StepRecord(
                gradient_norm=length(gradient),
                damping=damping,
                step_norm=length(step),
                products=products,
            )
        return t, record, rose

    def _grown(self, curvature: Curvature, gradient: Tensor) -> Iterator[tuple[Tensor, float]]:
        """The minimiser of the cubic model in each Krylov space, and its damping gamma.

        The penalty only bounds a step that no curvature does.
        """
        space = KrylovSpace(
            curvature,
            gradient.clone,
            limit=self.tuning.large_products,
            keep=self.tuning.large_products,
        )
        reach = self.tuning.longest * max(1.0, length(self.problem.start))
        penalty = 2.0 * space.start_length / reach**2
        for _ in space.grow():
            values, vectors = space.ritz()
            found = solve_diagonal(values, space.start_length * vectors[0], penalty)
            yield space.combine(vectors @ found.solution), found.damping

    def _doubt(self, theta: Tensor, held: AnchoredRisk, generator: torch.Generator) -> str | None:
        """Why the step is not to be trusted; None where nothing speaks against it."""
        start, tuning = self.problem.start, self.tuning
        forget = self.problem.forget.sample(tuning.large_held, generator)
        model = forget.linearise(start, curvature=self.target.curvature)
        retain = self.problem.retain.subset(held.ids)
        fitted = _loss(retain, start, float(retain.value(start)))
        if (gone := _loss(forget, start, model.value)) > tuning.large_fitted * fitted:
            return f"the forget set was not fitted (mean loss {gone:.3g}, retained {fitted:.3g})"
        step = theta - start
        linear = inner(model.gradient, step)
        expected = linear + 0.5 * inner(model @ step, step)
        after, rounding = forget.measure(theta)
        change = float(after) - model.value
        if abs(change - expected) <= tuning.certain * rounding:
            return None
        least, most = tuning.large_agrees
        if not least <= change / expected <= most:
            return f"the forget set's loss changed {change / expected:.2f} times as was expected"
        if change > tuning.large_bend * linear:
            return f"the forget set's loss changed {change / linear:.2f} times as its slope says"
        return None


def large_step_examples(tuning: Tuning, retain: int, forget: int) -> tuple[int, int]:
    """How many examples a large step passes at most: (by gradients and products, forward only)."""
    held, few = min(tuning.large_held, retain // 5), min(tuning.large_held, forget)
    aside = held + max(1, held // 4, round(held * forget / retain))
    heavy = _sample_size(retain, tuning) * tuning.large_products + forget + 2 * few
    return heavy, aside * (tuning.large_products + 2) + held + few


def _sample_size(retain: int, tuning: Tuning) -> int:
    """A share of what is there, and all of it where little would be left out."""
    size = max(tuning.large_sample, round(tuning.large_share * retain))
    return size if size < 0.75 * retain else retain


def _loss(risk: EmpiricalRisk, theta: Tensor, value: float) -> float:
    """The mean loss in the objective's `value` at theta, without weight decay."""
    return value - 0.5 * risk.weight_decay * float(theta.double().square().sum())
