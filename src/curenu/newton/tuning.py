"""The numbers that the Newton loop was tuned with: fields that an ablation can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from curenu.operators.metric import DAMPING
from curenu.settings import (
    BelowOne,
    Count,
    NotNegative,
    Positive,
    Rule,
    Settings,
    Share,
    UpToOne,
    ZeroOrMore,
)

__all__ = ["Tuning"]

Limit = Annotated[float, Rule("zero or more, inf for no limit", lambda x: x >= 0)]


@dataclass(frozen=True)
class Tuning(Settings):
    """Constants of the loop that no user should have to set; decision 3 has how they were found.

    `metric_size` retained examples measure a metric, with `metric_damping` times its mean
    curvature added. `held` examples at least are set aside, and a sample that fails on them is
    made `growth` times as large. Single steps are judged on one in `glanced` of them, a result on
    all. Every `judged`-th step its penalty is judged: at first by the
    `first_factors`, then by `later_factors` in turn; a step is taken with `eager` times the
    penalty that is best for it alone, since steps are averaged. A step that loses too much is
    halved up to `halvings` times; a result is drawn back to one of the shares `back` of its way
    if that brings `worth` of the largest fall seen.

    A single large step takes `large_share` of the retained examples, `large_sample` at least, and
    `large_products` at most, `plain_products` without a metric, which resolves less with each, as
    far as memory keeps their vectors; `large_held` examples are set aside, and the space grows
    while the objective there falls by `worth` of the most that it did. The step is enough where,
    on `large_held` forget examples, the loss changes by a factor within `large_agrees` of what its
    quadratic model says, by `large_bend` times what its slope says at most, where the retained
    loss rises by `large_harm` of that, or of itself, at most, and where its mean is `large_fitted`
    times that of retained examples at most.

    Where the examples that training passed are known, all of it together costs `most_cost` of a
    retraining's at most, counted in forward passes, `spare` of which is left for values and
    products that no plan foresees: samples become smaller, then the steps `fewer_steps`; where
    `least_sample` examples are still too many the best so far is the result, and its status says
    so.

    Where training had converged, `minimum_steps` at most are taken with
    `minimum_products` each, until the gradient is `minimum_tolerance` of the first.

    The ratio test rejects a step below `reject`; above `expand` the penalty is divided by `ease`.
    A model is solved for at most `attempts` penalties. The first penalty is measured on a step
    between the shares `probe` of |theta|, and lets none be longer than `longest` times |theta|.
    A decrease counts when it is `certain` times the rounding of the values.
    """

    metric_size: Count = 1024
    metric_damping: Positive = DAMPING
    held: Count = 512
    growth: Annotated[int, Rule("a whole number of 2 or more", lambda x: x >= 2)] = 4
    glanced: Count = 3
    judged: Count = 3
    first_factors: tuple[Positive, ...] = (10.0, 0.1)
    later_factors: tuple[tuple[Positive, ...], ...] = ((0.1,), (0.1,), (10.0,))
    eager: Positive = 0.2
    halvings: ZeroOrMore = 3
    back: tuple[UpToOne, ...] = (0.85, 0.7, 0.5)
    worth: UpToOne = 0.5
    large_share: Share = 0.25
    large_sample: Count = 2048
    large_products: Count = 6
    plain_products: Count = 12
    large_held: Count = 1024
    large_agrees: tuple[Limit, Limit] = (0.8, 1.2)
    large_bend: Limit = 1.6
    large_harm: Limit = 0.2
    large_fitted: Limit = 3.0
    most_cost: Positive = 0.5
    spare: BelowOne = 0.1
    least_sample: Count = 128
    fewer_steps: tuple[Count, ...] = (5, 3)
    minimum_steps: Count = 20
    minimum_products: Count = 20
    minimum_tolerance: BelowOne = 1e-3
    reject: UpToOne = 0.1
    expand: NotNegative = 0.9
    ease: Positive = 4.0
    attempts: Count = 20
    probe: tuple[Positive, Positive] = (1e-3, 1e-2)
    longest: Positive = 1e3
    certain: NotNegative = 4.0

    def factors(self, step: int) -> tuple[float, ...]:
        """Of the penalty, tried at this step; none where it is not judged."""
        turn, kept = divmod(step, self.judged)
        if kept:
            return ()
        return (
            self.later_factors[(turn - 1) % len(self.later_factors)] if turn else self.first_factors
        )

    def most_products(self, metric: bool, kept: int) -> int:
        """Of a large step, where `kept` vectors may be kept."""
        return min(self.large_products if metric else self.plain_products, kept)
