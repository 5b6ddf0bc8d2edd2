"""What all objectives offer: the sum that they are, as value, gradient and products."""

from __future__ import annotations

import torch
from torch import Tensor

from curenu.autodiff import Kind, Linearisation
from curenu.cost import Meter
from curenu.parameters import ParameterSpace
from curenu.risks.products import check_products
from curenu.risks.source import Source
from curenu.risks.terms import Measured
from curenu.risks.weighted_sum import WeightedSum

__all__ = ["Risk"]


class Risk:
    """A function of theta `[d]` that is a `WeightedSum`; subclasses say which."""

    def __init__(self, total: WeightedSum) -> None:
        self._sum = total

    @property
    def source(self) -> Source:
        """Model, loss and data."""
        return self._sum.source

    @property
    def parameters(self) -> ParameterSpace:
        """Which parameters move, and their order in the vector."""
        return self._sum.source.parameters

    @property
    def meter(self) -> Meter:
        """Counts the work of this objective and of all drawn from the same source."""
        return self._sum.source.meter

    @property
    def dimension(self) -> int:
        """d: how many parameters move."""
        return self._sum.source.parameters.dimension

    @property
    def quadratic_scale(self) -> float:
        """c of the (c/2)|theta|² or (c/2)|theta − theta0|² in it, in gradient and product too."""
        return self._sum.quadratic.scale

    def value(self, theta: Tensor) -> Tensor:
        """F(theta), a float64 scalar `[]`; one forward pass over the examples."""
        return self._sum.value(theta)

    def measure(self, theta: Tensor) -> Measured:
        """F(theta) and how far rounding may have moved it; one forward pass."""
        return self._sum.measure(theta)

    def gradient(self, theta: Tensor) -> Tensor:
        """∇F(theta), `[d]`; one forward and one backward pass over the examples."""
        return self._sum.gradient(theta)

    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor:
        """∇²F(theta)·vector, `[d]`; about three gradients' time."""
        self._sum.source.parameters.check(vector)
        return self.linearise(theta, memory_budget=0) @ vector

    def linearise(
        self,
        theta: Tensor,
        *,
        curvature: Kind = "hessian",
        memory_budget: int | None = None,
        full_precision: bool = False,
    ) -> Linearisation:
        """The curvature at theta as an operator, see `WeightedSum.linearise`.

        The first of its kind is compared with differences on a few examples: `check_products`.
        """
        self._sum.source.parameters.check(theta)
        kept = curvature == "hessian" and memory_budget != 0
        check_products(self._sum, theta, curvature, kept=kept)
        return self._sum.linearise(
            theta,
            curvature=curvature,
            memory_budget=memory_budget,
            full_precision=full_precision,
        )

    def check_twice_differentiable(self, theta: Tensor, vector: Tensor) -> None:
        """Raise unless the product with a random `vector` is there, finite and not all zero."""
        self._sum.check_twice_differentiable(theta, vector)


def drawn(ids: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """`size` of the positions `ids`, without replacement and sorted; all, if fewer."""
    if size >= len(ids):
        return ids
    order = torch.randperm(len(ids), generator=generator, device=generator.device)
    return ids[order[:size].to(ids.device)].sort().values
