"""Ends, density and degeneracy of a spectrum, from products or from eigenvalues."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.distributed import summed
from curenu.errors import BadRequest
from curenu.operators.krylov import KrylovSpace, ritz_pairs
from curenu.operators.operator import Curvature, random_direction

__all__ = [
    "Extremes",
    "Recurrence",
    "RitzValue",
    "SpectralDensity",
    "Spectrum",
    "extreme_eigenvalues",
    "numerical_rank",
    "spectral_density",
]

_RELATIVE = 1e-9  # how near to its root a bound is computed, on the safe side of it


@dataclass(frozen=True)
class RitzValue:
    """An eigenvalue estimate; an eigenvalue lies within `residual` of `value`."""

    value: float
    residual: float


@dataclass(frozen=True)
class Recurrence:
    """T_k of Lanczos from a start drawn uniformly on the unit sphere of `dimension` numbers.

    `diagonal` are alpha_1 … alpha_k, `off_diagonal` beta_1 … beta_k, the last of which leads
    out of the space (0 where the space is closed under the operator).
    """

    diagonal: tuple[float, ...]
    off_diagonal: tuple[float, ...]
    dimension: int

    def lower_bound(self, failure_probability: float = 0.01) -> float:
        """x such that no eigenvalue is below x, but for starts of this probability.

        Let v be the start and u the eigenvector of the smallest eigenvalue λ. The Lanczos
        vectors are p_j(H)v with polynomials p_0 … p_k read off T, and orthonormal, so that
        Σ_j p_j(λ)² (u·v)² = Σ_j (u·p_j(H)v)² ≤ 1. Left of the Ritz values the sum of p_j² falls
        with λ; |u·v| ≥ δ√(π/(2d)) with probability 1 − δ at least. x is where the sum is
        2d/(πδ²). It holds whenever the recurrence was stopped, and is the smallest Ritz value
        where the space is closed. In exact arithmetic, that is for orthonormal vectors.

        Raises `BadRequest` for a probability outside (0, 1). Source: van Dorsselaer,
        Hochstenbach and van der Vorst, Computing probabilistic bounds for extreme eigenvalues
        of symmetric matrices with the Lanczos method, 2000; before T is known, Kuczynski and
        Wozniakowski (1992) bound the same.
        """
        if not 0.0 < failure_probability < 1.0:
            raise BadRequest(f"failure_probability is {failure_probability}.", "between 0 and 1.")
        lowest = float(ritz_pairs(self.diagonal, self.off_diagonal)[0][0])
        if self.off_diagonal[-1] == 0.0:
            return lowest
        limit = 2.0 * self.dimension / (math.pi * failure_probability**2)
        near, far = 0.0, max(map(abs, (*self.diagonal, *self.off_diagonal)))
        while self._kernel(lowest - far) < limit:
            near, far = far, 2.0 * far
        while far - near > _RELATIVE * far:
            middle = 0.5 * (near + far)
            if self._kernel(lowest - middle) < limit:
                near = middle
            else:
                far = middle
        return lowest - far

    def _kernel(self, x: float) -> float:
        """Σ_{j ≤ k} p_j(x)², or inf."""
        before, here, total, last = 0.0, 1.0, 1.0, 0.0
        for alpha, beta in zip(self.diagonal, self.off_diagonal, strict=True):
            before, here = here, ((x - alpha) * here - last * before) / beta
            total, last = total + here * here, beta
        return total if math.isfinite(total) else math.inf


@dataclass(frozen=True)
class Extremes:
    """Both ends of a spectrum as seen by `products` Lanczos steps.

    Ritz values lie inside the spectrum: `smallest.value` is an upper bound of the smallest
    eigenvalue, `largest.value` a lower bound of the largest one. `recurrence` bounds it from the
    other side; None where the ends are known.
    """

    smallest: RitzValue
    largest: RitzValue
    products: int
    recurrence: Recurrence | None = None

    @property
    def norm(self) -> float:
        """Estimate of |H| from above: the larger |value| + residual of the two ends."""
        return max(abs(end.value) + end.residual for end in (self.smallest, self.largest))


@dataclass(frozen=True)
class SpectralDensity:
    """Share of eigenvalues per unit length, and the quadrature it was smoothed from.

    `density` at the points `grid` integrates to 1. The spectral measure itself is estimated
    by `weights`, of sum 1, at `nodes`.
    """

    grid: NDArray[np.float64]
    density: NDArray[np.float64]
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    dimension: int
    products: int


def extreme_eigenvalues(
    operator: Tensor | Curvature,
    template: Tensor,
    max_products: int,
    generator: torch.Generator | None = None,
    *,
    tolerance: float = 0.0,
    keep: int = 0,
) -> Extremes:
    """Smallest and largest eigenvalue, each with its residual |H x − θx| = beta_k|e_k·y|.

    Lanczos from a random direction shaped as `template` `[d]`: a basis, fully orthogonalised,
    of at most `keep` vectors, or four vectors of length d whatever `max_products` is. Stops
    early when both residuals are at most `tolerance` times the largest |θ|. Paige, The
    computation of eigenvalues ... of very large sparse matrices, 1971: without
    reorthogonalisation the end values stay right.
    """
    _check_positive("max_products", max_products)
    start = random_direction(template, generator)
    space = KrylovSpace(operator, lambda: start, limit=max_products, keep=keep)
    low = high = RitzValue(math.nan, math.inf)
    for _ in space.grow():
        if tolerance > 0.0 or len(space) == max_products or space.remainder == 0.0:
            values, vectors = space.ritz()
            residuals = space.remainder * np.abs(vectors[-1])
            low = RitzValue(float(values[0]), float(residuals[0]))
            high = RitzValue(float(values[-1]), float(residuals[-1]))
            bound = tolerance * max(abs(low.value), abs(high.value))
            if max(low.residual, high.residual) <= bound:
                break
    recurrence = Recurrence(
        tuple(space.diagonal), tuple(space.off_diagonal), summed(template.numel())
    )
    return Extremes(low, high, space.products, recurrence)


def spectral_density(
    operator: Tensor | Curvature,
    template: Tensor,
    probes: int = 8,
    steps: int = 40,
    generator: torch.Generator | None = None,
    *,
    points: int = 512,
    width: float = 0.01,
) -> SpectralDensity:
    """Density of eigenvalues by stochastic Lanczos quadrature; probes·steps products.

    Each random probe gives Gauss nodes (Ritz values) and weights (squared first components);
    nodes are smoothed by a Gaussian of standard deviation `width` times the range.
    Source: Ghorbani, Krishnan and Xiao, An investigation into neural net optimization via
    Hessian eigenvalue density, 2019.
    """
    _check_positive("probes", probes)
    _check_positive("steps", steps)
    source = generator if generator is not None else torch.Generator().manual_seed(0)
    nodes: list[NDArray[np.float64]] = []
    weights: list[NDArray[np.float64]] = []
    products = 0
    for _ in range(probes):
        start = random_direction(template, source)
        space = KrylovSpace(operator, start.clone, limit=steps)
        for _ in space.grow():
            pass
        values, vectors = space.ritz()
        nodes.append(values)
        weights.append(vectors[0] ** 2 / probes)
        products += space.products
    places, masses = np.concatenate(nodes), np.concatenate(weights)
    order = np.argsort(places)
    grid, density = _smooth(places, masses, points, width)
    return SpectralDensity(grid, density, places[order], masses[order], template.numel(), products)


def numerical_rank(
    eigenvalues: NDArray[np.float64] | Tensor, relative_tolerance: float | None = None
) -> int:
    """How many |eigenvalues| exceed `relative_tolerance` times the largest of them.

    The default tolerance is the number of eigenvalues times the float64 rounding.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    return int(np.count_nonzero(np.abs(values) > _cutoff(values, relative_tolerance)))


@dataclass(frozen=True)
class Spectrum:
    """How degenerate a curvature is: rank, signs, ends and conditioning.

    `nonpositive_share` is the share of eigenvalues that are negative or zero to the relative
    tolerance, `condition` is max|λ|/min|λ| over the rest of the spectrum that is not zero.
    `source` says where the numbers come from: "eigenvalues" are exact, with
    "Lanczos quadrature" rank and share are estimates, the ends are Ritz values (inside the
    true ones) and the condition is a lower bound.
    """

    dimension: int
    rank: int
    nonpositive_share: float
    lambda_min: float
    lambda_max: float
    condition: float
    source: str

    @classmethod
    def of_eigenvalues(
        cls,
        eigenvalues: NDArray[np.float64] | Tensor,
        relative_tolerance: float | None = None,
    ) -> Spectrum:
        """Summary of all eigenvalues `[d]` of a dense matrix."""
        values = np.asarray(eigenvalues, dtype=np.float64)
        weights = np.full(len(values), 1.0 / len(values))
        cutoff = _cutoff(values, relative_tolerance)
        return cls._of(values, weights, len(values), cutoff, "eigenvalues")

    @classmethod
    def of_density(cls, density: SpectralDensity, relative_tolerance: float = 1e-6) -> Spectrum:
        """Summary of an estimated spectrum; the tolerance should exceed the products' noise."""
        cutoff = _cutoff(density.nodes, relative_tolerance)
        return cls._of(
            density.nodes, density.weights, density.dimension, cutoff, "Lanczos quadrature"
        )

    @classmethod
    def _of(
        cls,
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
        dimension: int,
        cutoff: float,
        source: str,
    ) -> Spectrum:
        sizes = np.abs(values)
        kept = sizes > cutoff
        return cls(
            dimension=dimension,
            rank=round(dimension * float(weights[kept].sum())),
            nonpositive_share=float(weights[values <= cutoff].sum()),
            lambda_min=float(values.min()),
            lambda_max=float(values.max()),
            condition=float(sizes[kept].max() / sizes[kept].min()) if kept.any() else math.inf,
            source=source,
        )


def _cutoff(values: NDArray[np.float64], relative_tolerance: float | None) -> float:
    if relative_tolerance is None:
        relative_tolerance = len(values) * float(np.finfo(np.float64).eps)
    return relative_tolerance * float(np.abs(values).max())


def _smooth(
    nodes: NDArray[np.float64], weights: NDArray[np.float64], points: int, width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = float(nodes.min()), float(nodes.max())
    # One repeated eigenvalue has no range: its own size is the scale, 1 for the zero matrix.
    deviation = width * ((high - low) or abs(high) or 1.0)
    grid = np.linspace(low - 5.0 * deviation, high + 5.0 * deviation, points)
    density = np.zeros(points)
    for node, weight in zip(nodes, weights, strict=True):
        density += weight * np.exp(-0.5 * ((grid - node) / deviation) ** 2)
    return grid, density / float(np.trapezoid(density, grid))


def _check_positive(name: str, count: int) -> None:
    if count < 1:
        raise BadRequest(f"{name} is {count}.", "a number of at least 1.")
