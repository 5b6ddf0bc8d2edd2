"""What passes through the outer loop: the examples of a step, the mean of the iterates, the end."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from curenu.erasure import StepRecord
from curenu.operators import Coordinates
from curenu.risks import Objective
from curenu.status import Status

__all__ = ["Draw", "Found", "TailMean"]


@dataclass(frozen=True)
class Draw:
    """The examples of one outer step: for value and gradient, and for products."""

    gradient: Objective
    curvature: Objective

    def seen(self, coordinates: Coordinates) -> Draw:
        """The same examples as functions of the coordinates."""
        first = coordinates.view(self.gradient)
        same = self.gradient is self.curvature
        return Draw(first, first if same else coordinates.view(self.curvature))


@dataclass(frozen=True)
class Found:
    """Where the steps of one sample size led."""

    theta: Tensor
    status: Status
    trace: tuple[StepRecord, ...]
    penalty: float | None
    first: float | None  # the penalty settled on at the first step, the next request's start
    notes: tuple[str, ...] = ()


class TailMean:
    """The mean of the iterates after the first so many, less noisy than the last of them."""

    def __init__(self, skip: int) -> None:
        self._skip, self._count = skip, 0
        self._mean: Tensor | None = None

    def add(self, t: Tensor) -> None:
        self._count += 1
        beyond = self._count - self._skip
        if beyond == 1:
            self._mean = t.clone()
        elif self._mean is not None:
            self._mean.lerp_(t, 1.0 / beyond)

    def of(self, last: Tensor) -> Tensor:
        """The mean; the last iterate when there is nothing to average."""
        return last if self._mean is None else self._mean
