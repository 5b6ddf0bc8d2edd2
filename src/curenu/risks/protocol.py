"""What every objective offers, whatever it is the objective of."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor

from curenu.autodiff.linearisation import Kind
from curenu.cost import Meter
from curenu.risks.terms import Measured

__all__ = ["Linearised", "Objective"]


class Linearised(Protocol):
    """The curvature of an objective at one point, kept for many products.

    `@` gives the curvature times a vector `[d]`; `value` and `gradient` are those of the
    objective at the point, on the same examples, at no further pass.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def value(self) -> float: ...
    @property
    def gradient(self) -> Tensor: ...
    def __matmul__(self, vector: Tensor, /) -> Tensor: ...
    def dense(self, memory_budget: int | None = None) -> Tensor: ...


class Objective(Protocol):
    """A twice differentiable mean over examples, as a function of the flat vector `[d]`."""

    @property
    def size(self) -> int: ...
    @property
    def dimension(self) -> int: ...
    @property
    def meter(self) -> Meter: ...
    def value(self, theta: Tensor) -> Tensor: ...
    def measure(self, theta: Tensor) -> Measured: ...
    def gradient(self, theta: Tensor) -> Tensor: ...
    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor: ...
    def linearise(
        self,
        theta: Tensor,
        *,
        curvature: Kind = "hessian",
        memory_budget: int | None = None,
        full_precision: bool = False,
    ) -> Linearised: ...
    def sample(self, size: int, generator: torch.Generator) -> Self: ...
