"""The cubic model of an objective around a point, and the step that minimises it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from curenu.cost import Cost
from curenu.errors import BadRequest, IllPosed
from curenu.operators import Curvature, inner, length, product
from curenu.status import Status

__all__ = [
    "Budget",
    "CubicModel",
    "CubicSolver",
    "CubicStep",
    "Factorised",
]


@dataclass(frozen=True)
class CubicModel:
    """Change of the objective along a step: m(s) = g·s + ½ s·Hs + (M/6)|s|³.

    `gradient` is g `[d]`, `curvature` is H (a symmetric tensor `[d, d]` or any operator
    with `@`), `penalty` is M > 0, in units of the objective per length³.
    Source: Nesterov and Polyak (2006); equation (1) of `docs/theory.md`.

    Raises `BadRequest` for a penalty that is not positive or shapes that do not fit,
    `IllPosed` for NaN or Inf.
    """

    gradient: Tensor
    curvature: Tensor | Curvature
    penalty: float

    def __post_init__(self) -> None:
        if not (self.penalty > 0 and self.penalty < float("inf")):
            raise BadRequest(f"The penalty is {self.penalty}.", "a positive, finite number.")
        if self.gradient.ndim != 1 or self.gradient.numel() == 0:
            raise BadRequest(
                f"The gradient has shape {list(self.gradient.shape)}.",
                "a vector [d], d ≥ 1.",
            )
        if not self.gradient.isfinite().all():
            raise IllPosed("NaN or Inf in the gradient.", "check data, loss and weights.")
        if isinstance(self.curvature, Tensor):
            size = self.gradient.numel()
            if self.curvature.shape != (size, size):
                raise BadRequest(
                    f"The curvature has shape {list(self.curvature.shape)}.",
                    f"a symmetric [{size}, {size}] tensor, as the gradient's size.",
                )
            if not self.curvature.isfinite().all():
                raise IllPosed("NaN or Inf in the curvature.", "check data, loss and weights.")

    def product(self, vector: Tensor) -> Tensor:
        """H·vector, `[d]`; one Hessian-vector product."""
        return product(self.curvature, vector)

    def change(self, step: Tensor) -> float:
        """m(step), in float64; one product."""
        return self.change_from(step, self.product(step))

    def change_from(self, step: Tensor, image: Tensor) -> float:
        """m(step) when `image`, H·step `[d]`, is known; no product."""
        quadratic = inner(self.gradient, step) + 0.5 * inner(step, image)
        return quadratic + self.penalty / 6.0 * length(step) ** 3

    def residual(self, step: Tensor) -> Tensor:
        """∇m(step) = g + H step + (M/2)|step| step, `[d]`; one product."""
        return self.gradient + self.product(step) + self.damping(step) * step

    def damping(self, step: Tensor) -> float:
        """gamma = (M/2)|step|: the damping that the cubic term stands for at `step`."""
        return 0.5 * self.penalty * length(step)


@dataclass(frozen=True)
class CubicStep:
    """What a solver found: a step, and how far it can be trusted.

    `damping` is gamma = (M/2)|step|; `change` is m(step), at most 0; `residual` is
    |∇m(step)|, measured or bounded as the solver says; `lambda_min` is the smallest
    eigenvalue of H the solver saw (exact for the eigen solver, a Ritz value, hence an upper
    bound, for Lanczos, None for descent); `hard_case` says that the gradient had no part
    along the lowest eigenvector and the step was completed along it; `cost` holds the
    products spent on the model so far, penalties solved before included.
    """

    step: Tensor
    damping: float
    status: Status
    hard_case: bool
    residual: float
    change: float
    lambda_min: float | None = None
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Budget:
    """What one solve of a `[d, d]` model takes at most.

    `products` of H with a vector, `vectors` `[d]` held at once beside the gradient, and
    `matrices` `[d, d]` in float64. `hidden` products, and as many vectors, come on top where H
    may be indefinite and a part of it that g does not see is looked for.
    """

    products: int
    vectors: int
    matrices: int = 0
    hidden: int = 0


class Factorised(Protocol):
    """A model taken apart once, to be solved for one penalty after another."""

    def solve(self, penalty: float) -> CubicStep: ...


class CubicSolver(Protocol):
    """Minimises a cubic model; randomness comes from `generator` only."""

    def budget(self, dimension: int) -> Budget: ...

    def factorise(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> Factorised: ...

    def __call__(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> CubicStep: ...
