"""The minimiser of a quadratic model within a ball, for one radius after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.budgets import BASIS_MEMORY
from curenu.errors import BadRequest
from curenu.operators import Curvature, KrylovSpace, dense_symmetric, kept_vectors, length

__all__ = ["RegionModel", "RegionStep", "region_model", "solve_region"]

Vector = NDArray[np.float64]

_FEW = 8.0 * float(np.finfo(np.float64).eps)  # a computed zero may be off by so much


@dataclass(frozen=True)
class RegionStep:
    """A step s, its damping, its length, and g·s + ½ s·Hs in the space it was found in."""

    step: Tensor
    damping: float
    size: float
    change: float


@dataclass(frozen=True)
class RegionModel:
    """g·s + ½ s·Hs in eigenpairs, or Ritz pairs: `solve` for any radius at no product.

    Except where the basis of a Krylov space is not kept: then it is made again for each.
    """

    values: Vector
    parts: Vector
    combine: Callable[[Vector], Tensor] = field(repr=False)

    def solve(self, radius: float) -> RegionStep:
        """The minimiser over |s| ≤ `radius`."""
        damping, y = solve_region(self.values, self.parts, radius)
        change = float(self.parts @ y + 0.5 * self.values @ (y * y))
        return RegionStep(self.combine(y), damping, float(np.linalg.norm(y)), change)


def region_model(
    curvature: Tensor | Curvature,
    gradient: Tensor,
    *,
    max_products: int | None = None,
    memory_budget: int | None = None,
) -> RegionModel:
    """The model of g `[d]` and H; `max_products` None decomposes H in float64.

    A number takes the Krylov space of g of that many products (Steihaug-Lanczos; Gould, Lucidi,
    Roma and Toint, Solving the trust-region subproblem using the Lanczos method, 1999); what g has
    no part along is not looked for there. Raises `UnsupportedModel` where H does not fit.
    """
    if max_products is None:
        values, vectors = torch.linalg.eigh(dense_symmetric(curvature, memory_budget))
        parts = (vectors.mT @ gradient.double()).cpu().numpy()
        return RegionModel(
            values.cpu().numpy(),
            parts,
            lambda y: (vectors @ torch.as_tensor(y).to(vectors)).to(gradient.dtype),
        )
    keep = kept_vectors(gradient, BASIS_MEMORY)
    space = KrylovSpace(curvature, gradient.clone, limit=max_products, keep=keep)
    for _ in space.grow():
        pass
    ritz, basis = space.ritz()
    return RegionModel(ritz, length(gradient) * basis[0], lambda y: space.combine(basis @ y))


def solve_region(eigenvalues: Vector, parts: Vector, radius: float) -> tuple[float, Vector]:
    """(gamma, y): the minimiser of c·y + ½ Σ λ_j y_j² over |y| ≤ radius, λ `[k]` ascending.

    (λ_j + gamma) y_j = −c_j, gamma ≥ max(0, −λ_1), and gamma (radius − |y|) = 0. Where c has no
    part along the lowest eigenvectors, and they curve down, y is completed along the first of
    them. So with gamma = (M/2)|y| it is the step of the cubic model of penalty M at the radius |y|.
    Source: Moré and Sorensen, Computing a trust region step (1983). Raises `BadRequest`.
    """
    if not 0 < radius < math.inf:
        raise BadRequest(f"radius={radius}.", "a positive number.")
    shift = max(0.0, -float(eigenvalues[0]))
    shifted = eigenvalues + shift
    size = float(np.linalg.norm(parts))
    lowest = shifted <= _FEW * float(np.abs(eigenvalues).max())
    if float(np.abs(parts[lowest]).max(initial=0.0)) <= _FEW * math.sqrt(len(parts)) * size:
        y = _damped(shifted, np.where(lowest, 0.0, parts), 0.0)
        free = radius**2 - float(y @ y)
        if free >= 0.0:
            if shift > 0.0:
                y[0] = math.copysign(math.sqrt(free), -parts[0])
            return shift, y
    elif shift == 0.0 and not lowest.any():
        y = _damped(shifted, parts, 0.0)
        if float(y @ y) <= radius**2:
            return 0.0, y
    mu = _root(shifted, parts, radius)
    return shift + mu, _damped(shifted, parts, mu)


def _damped(shifted: Vector, parts: Vector, mu: float) -> Vector:
    return -np.divide(parts, shifted + mu, out=np.zeros_like(parts), where=parts != 0.0)


def _root(shifted: Vector, parts: Vector, radius: float) -> float:
    """mu > 0 at which |y(mu)| = radius, to a few roundings."""
    from scipy.optimize import brentq  # most of a second that an import need not take

    def excess(mu: float) -> float:
        return 1.0 / float(np.linalg.norm(_damped(shifted, parts, mu))) - 1.0 / radius

    # |y| is at least each of its parts, and at most |c|/mu.
    lower = float(np.max(np.abs(parts) / radius - shifted)) * (1.0 - 1e-8)
    upper = float(np.linalg.norm(parts)) / radius * (1.0 + 1e-8)
    lower = max(lower, 1e-16 * upper)
    if excess(lower) >= 0.0:
        return lower
    rounding = cast(Any, 4.0 * float(np.finfo(np.float64).eps))
    return float(cast(Any, brentq(excess, lower, upper, xtol=1e-300, rtol=rounding, maxiter=2000)))
