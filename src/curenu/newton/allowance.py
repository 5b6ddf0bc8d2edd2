"""What a default erasure may cost, in weighted examples, and what of it is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from curenu.cost import Meter
from curenu.erasure import ErasureProblem

__all__ = ["Allowance"]

_SPARE = 0.1  # of the whole, for values and products that no plan foresees


@dataclass(frozen=True)
class Allowance:
    """A share of what retraining costs; `inf` where nobody said how long training was.

    Counted by the meter of the problem, in forward passes of one example: see `Cost.weighted`.
    """

    meter: Meter
    total: float
    begun: int

    @classmethod
    def of(cls, problem: ErasureProblem, share: float) -> Self:
        """`share` of one retraining on what stays, from now on."""
        retraining = problem.training.retraining(problem.retain.size, problem.forget.size)
        meter = problem.retain.meter
        begun = 0 if math.isinf(share * retraining) else meter.weighted_by_all()
        return cls(meter, share * retraining, begun)

    @property
    def left(self) -> float:
        """Weighted examples that may still be passed; below zero where more were."""
        if math.isinf(self.total):
            return math.inf
        return self.total - (self.meter.weighted_by_all() - self.begun)

    def fitting(self, wanted: int, each: float, beside: float, *, share: float = 1.0) -> int:
        """How many examples up to `wanted`, `each` of which costs so much, `beside` apart.

        They may use `share` of what is left.
        """
        if math.isinf(self.total):
            return wanted
        room = share * (self.left - _SPARE * self.total) - beside
        return max(0, min(wanted, int(room / each)))
