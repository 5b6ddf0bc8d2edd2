"""What a default erasure may cost, in weighted examples, and what of it is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from curenu.cost import Meter
from curenu.erasure import ErasureProblem
from curenu.newton.tuning import Tuning

__all__ = ["Allowance"]


@dataclass(frozen=True)
class Allowance:
    """A share of what retraining costs; `inf` where nobody said how long training was.

    Counted by the meter of the problem, in forward passes of one example: see `Cost.weighted`.
    """

    meter: Meter
    total: float
    spare: float
    begun: int

    @classmethod
    def of(cls, problem: ErasureProblem, tuning: Tuning, *, bounded: bool = True) -> Self:
        """`tuning.most_cost` of one retraining on what stays, from now on."""
        retraining = problem.training.retraining(problem.retain.size, problem.forget.size)
        total = tuning.most_cost * retraining if bounded else math.inf
        meter = problem.retain.meter
        begun = 0 if math.isinf(total) else meter.weighted_by_all()
        return cls(meter, total, tuning.spare * total, begun)

    @property
    def left(self) -> float:
        """Weighted examples that may still be passed; below zero where more were."""
        if math.isinf(self.total):
            return math.inf
        return self.total - (self.meter.weighted_by_all() - self.begun)

    def fitting(self, wanted: int, each: float, beside: float, *, share: float = 1.0) -> int:
        """How many examples up to `wanted`, `each` of which costs so much, `beside` apart.

        They may use `share` of what is left, but for what is spared.
        """
        if math.isinf(self.total):
            return wanted
        room = share * (self.left - self.spare) - beside
        return max(0, min(wanted, int(room / each)))
