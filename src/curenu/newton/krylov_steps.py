"""The minimisers of one quadratic model in Krylov spaces of growing size, at no product more."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from curenu.cubic.eigen import solve_diagonal
from curenu.operators import Curvature, KrylovSpace

__all__ = ["krylov_steps"]


def krylov_steps(
    curvature: Curvature, gradient: Tensor, products: int, reach: float
) -> Iterator[tuple[Tensor, float]]:
    """argmin g·s + ½ s·Hs over the Krylov space of g of 1, 2, … `products` vectors.

    A cubic term so small that it allows steps of length `reach` stands for the curvature where
    there is none, or a negative one. Yields the step `[d]` and the damping gamma of that term.
    """
    space = KrylovSpace(curvature, gradient.clone, limit=products, keep=products)
    penalty = 2.0 * space.start_length / reach**2
    for _ in space.grow():
        values, vectors = space.ritz()
        found = solve_diagonal(values, space.start_length * vectors[0], penalty)
        yield space.combine(vectors @ found.solution), found.damping
