"""The parts of an objective: terms over examples, and a quadratic in theta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from curenu.data import Batch
from curenu.losses.form import widest

__all__ = ["Head", "Measured", "Quadratic", "Term"]

Head = Callable[[Tensor, Batch], Tensor]
"""(outputs on a batch, the batch) -> Σ f_i over its examples."""


@dataclass(frozen=True)
class Term:
    """weight · Σ_i f_i over the examples at `ids`, f_i by its `head`."""

    ids: Tensor
    weight: float
    head: Head


@dataclass(frozen=True)
class Quadratic:
    """(scale/2)|theta − centre|² − tilt·(theta − centre) + constant: no sum over examples.

    Measured from its centre (None: the origin), so that small moves are not lost beside the
    length of theta. `linear` makes the tilt `[d]` when it is first needed: it may cost a pass.
    """

    scale: float
    centre: Tensor | None = None
    linear: Callable[[], Tensor] | None = None

    @cached_property
    def tilt(self) -> Tensor | None:
        return None if self.linear is None else self.linear()

    def value(self, theta: Tensor) -> float:
        moved = theta if self.centre is None else theta - self.centre
        wide = moved.to(widest(theta.device))
        value = 0.5 * self.scale * float(wide.square().sum())
        return value if self.tilt is None else value - float(torch.dot(self.tilt.to(wide), wide))

    def add_gradient(self, theta: Tensor, total: Tensor) -> Tensor:
        total.add_(theta, alpha=self.scale)
        if self.centre is not None:
            total.add_(self.centre, alpha=-self.scale)
        return total if self.tilt is None else total.sub_(self.tilt)


class Measured(NamedTuple):
    """A value of an objective, and how far rounding of the outputs may have moved it."""

    value: Tensor
    rounding: float
