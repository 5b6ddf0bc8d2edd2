"""An objective seen in the coordinates of a metric, where the metric's length is the usual one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from curenu.autodiff.linearisation import Kind
from curenu.cost import Meter
from curenu.operators.metric import Metric
from curenu.operators.operator import Curvature, is_semidefinite
from curenu.risks.protocol import Linearised, Objective
from curenu.risks.terms import Measured

__all__ = ["Coordinates"]


@dataclass(frozen=True)
class Coordinates:
    """theta = origin + P^(-1/2) t, or theta = t where there is no metric.

    A cubic model in t measures its steps in the metric, and any solver of equation (1)
    solves equation (10) of `docs/theory.md`.
    """

    origin: Tensor
    metric: Metric | None = None

    @property
    def start(self) -> Tensor:
        """t of the origin, `[d]`."""
        return self.origin.clone() if self.metric is None else torch.zeros_like(self.origin)

    def theta(self, t: Tensor) -> Tensor:
        """The parameters at t, `[d]`."""
        return t if self.metric is None else self.origin + self.metric.root(t)

    def view(self, objective: Objective) -> Objective:
        """The objective as a function of t."""
        return objective if self.metric is None else _Seen(objective, self.origin, self.metric)

    def step(self, step: Tensor) -> Tensor:
        """A step in t, `[d]`, as one in theta."""
        return step if self.metric is None else self.metric.root(step)

    def slope(self, gradient: Tensor) -> Tensor:
        """A gradient in theta, `[d]`, as one in t."""
        return gradient if self.metric is None else self.metric.root(gradient)

    def seen(self, curvature: Curvature) -> Curvature:
        """A curvature in theta as one in t: its products."""
        return curvature if self.metric is None else _SeenProducts(curvature, self.metric)


class _Seen:
    """F(origin + P^(-1/2) t): values unchanged, gradients and products multiplied by the root.

    What the others call theta is t here.
    """

    def __init__(self, objective: Objective, origin: Tensor, metric: Metric) -> None:
        self._objective, self._origin, self._metric = objective, origin, metric

    @property
    def size(self) -> int:
        return self._objective.size

    @property
    def dimension(self) -> int:
        return self._objective.dimension

    @property
    def meter(self) -> Meter:
        return self._objective.meter

    def value(self, theta: Tensor) -> Tensor:
        return self._objective.value(self._at(theta))

    def measure(self, theta: Tensor) -> Measured:
        return self._objective.measure(self._at(theta))

    def gradient(self, theta: Tensor) -> Tensor:
        return self._metric.root(self._objective.gradient(self._at(theta)))

    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor:
        return self.linearise(theta, memory_budget=0) @ vector

    def linearise(
        self,
        theta: Tensor,
        *,
        curvature: Kind = "hessian",
        memory_budget: int | None = None,
        full_precision: bool = False,
    ) -> _SeenCurvature:
        inner = self._objective.linearise(
            self._at(theta),
            curvature=curvature,
            memory_budget=memory_budget,
            full_precision=full_precision,
        )
        return _SeenCurvature(inner, self._metric)

    def sample(self, size: int, generator: torch.Generator) -> Self:
        return type(self)(self._objective.sample(size, generator), self._origin, self._metric)

    def _at(self, theta: Tensor) -> Tensor:
        return self._origin + self._metric.root(theta)


@dataclass(frozen=True)
class _SeenProducts:
    inner: Curvature
    metric: Metric

    def __matmul__(self, vector: Tensor, /) -> Tensor:
        return self.metric.root(self.inner @ self.metric.root(vector))


@dataclass(frozen=True)
class _SeenCurvature(_SeenProducts):
    inner: Linearised

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    @property
    def positive_semidefinite(self) -> bool:
        return is_semidefinite(self.inner)  # R H R has the signs of H

    @property
    def value(self) -> float:
        return self.inner.value

    @property
    def gradient(self) -> Tensor:
        return self.metric.root(self.inner.gradient)

    def dense(self, memory_budget: int | None = None) -> Tensor:
        metric = self.metric.double()
        half = torch.stack([metric.root(row) for row in self.inner.dense(memory_budget)])
        return torch.stack([metric.root(row) for row in half.mT])
