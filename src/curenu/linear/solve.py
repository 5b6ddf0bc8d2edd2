"""Damped, pseudo-inverse and low-rank Newton steps: the baselines that no cubic term holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.budgets import BASIS_MEMORY
from curenu.errors import BadRequest, IllPosed
from curenu.operators import (
    Curvature,
    KrylovSpace,
    dense_symmetric,
    kept_vectors,
    length,
    product,
)
from curenu.status import Status

__all__ = ["LinearStep", "damped_solve", "low_rank_solve", "pseudo_inverse_solve"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class LinearStep:
    """A step s, |Hs + damping s + g| measured, why it ended, the products spent, what to note."""

    step: Tensor
    residual: float
    status: Status
    products: int
    notes: tuple[str, ...] = ()


def damped_solve(
    curvature: Tensor | Curvature,
    gradient: Tensor,
    damping: float,
    *,
    max_products: int | None = None,
    memory_budget: int | None = None,
) -> LinearStep:
    """−(H + damping I)^{-1} g, not clipped; H may be indefinite.

    `max_products` None decomposes H in float64; a number solves in the Krylov space of that
    many products, (T_k + damping I) y = −|g| e_1, s = Q_k y. Raises `IllPosed` when the
    damped matrix is singular to rounding.
    """
    if not 0 <= damping < float("inf"):
        raise BadRequest(f"damping={damping}.", "zero or a positive number.")

    def inverse(values: Vector, parts: Vector) -> Vector:
        shifted = values + damping
        if np.abs(shifted).min() <= 4.0 * np.finfo(np.float64).eps * np.abs(values).max():
            raise IllPosed(
                f"H + {damping:g} I is singular: an eigenvalue of H is at −damping.",
                "another damping, or `PseudoInverseNewton`.",
            )
        return 1.0 / shifted

    return _solve(curvature, gradient, inverse, damping, max_products, memory_budget)


def pseudo_inverse_solve(
    curvature: Tensor | Curvature,
    gradient: Tensor,
    *,
    relative_cutoff: float = 1e-6,
    max_products: int | None = None,
    memory_budget: int | None = None,
) -> LinearStep:
    """−H⁺ g, eigenvalues below `relative_cutoff` · max|lambda| in size taken as zero.

    As `damped_solve`; in a Krylov space the cut is made on Ritz values.
    """
    if not 0 <= relative_cutoff < 1:
        raise BadRequest(f"relative_cutoff={relative_cutoff}.", "a number in [0, 1).")

    def inverse(values: Vector, parts: Vector) -> Vector:
        kept = np.abs(values) > relative_cutoff * np.abs(values).max()
        return np.where(kept, 1.0, 0.0) / np.where(kept, values, 1.0)

    return _solve(curvature, gradient, inverse, 0.0, max_products, memory_budget)


def low_rank_solve(
    curvature: Tensor | Curvature,
    gradient: Tensor,
    damping: float,
    *,
    share: float = 0.9,
    max_products: int | None = None,
    memory_budget: int | None = None,
) -> LinearStep:
    """−H⁻¹g on the k largest eigenvectors of H, −g/(λ_k + damping) on all that is left of g.

    k is the fewest whose exact steps make `share` of the loss change that all would,
    Σ ½ c_j²/(λ_j + damping) with c_j = u_j·g over the positive eigenvalues; those that are not
    positive are never among the k. Off the k the curvature is at most λ_k, so nothing there
    overshoots. In a Krylov space the eigenpairs are Ritz pairs. `residual` is that of the undamped
    system. Raises `IllPosed` where no eigenvalue is positive.
    """
    if not 0 <= damping < float("inf"):
        raise BadRequest(f"damping={damping}.", "zero or a positive number.")
    if not 0 < share <= 1:
        raise BadRequest(f"share={share}.", "a share in (0, 1].")
    said: list[str] = []

    def inverse(values: Vector, parts: Vector) -> Vector:
        positive = values > 4.0 * np.finfo(np.float64).eps * np.abs(values).max()
        if not positive.any():
            raise IllPosed("No eigenvalue of H is positive.", "`CuReNU`, which needs none.")
        order = np.flatnonzero(positive)[::-1]
        changes = 0.5 * parts[order] ** 2 / (values[order] + damping)
        reached = np.cumsum(changes) / max(float(changes.sum()), np.finfo(np.float64).tiny)
        rank = min(int(np.searchsorted(reached, share * (1.0 - 1e-12))) + 1, len(order))
        kept = order[:rank]
        result = np.full_like(values, 1.0 / (values[kept[-1]] + damping))
        result[kept] = 1.0 / values[kept]
        said.append(f"{rank} eigenpairs make {reached[rank - 1]:.3f} of the predicted loss change")
        return result

    found = _solve(curvature, gradient, inverse, 0.0, max_products, memory_budget)
    return replace(found, notes=tuple(said))


def _solve(
    curvature: Tensor | Curvature,
    gradient: Tensor,
    inverse: Callable[[Vector, Vector], Vector],
    damping: float,
    max_products: int | None,
    memory_budget: int | None,
) -> LinearStep:
    size = length(gradient)
    if size == 0.0:
        return LinearStep(torch.zeros_like(gradient), 0.0, Status.SINGLE_STEP, 0)
    if max_products is None:
        values, vectors = torch.linalg.eigh(dense_symmetric(curvature, memory_budget))
        parts = (vectors.mT @ gradient.double()).cpu().numpy()
        scaled = torch.from_numpy(inverse(values.cpu().numpy(), parts) * parts)
        step = -(vectors @ scaled.to(vectors.device)).to(gradient.dtype)
        spent = 0 if isinstance(curvature, Tensor) else len(values)
        status = Status.SINGLE_STEP
    else:
        space = KrylovSpace(
            curvature,
            gradient.clone,
            limit=max_products,
            keep=kept_vectors(gradient, BASIS_MEMORY),
        )
        for _ in space.grow():
            pass
        ritz, basis = space.ritz()
        parts = size * basis[0]
        step = space.combine(basis @ (-parts * inverse(ritz, parts)))
        spent = space.products
        status = Status.SINGLE_STEP if space.remainder == 0.0 else Status.PRODUCT_LIMIT
    residual = product(curvature, step).add_(step, alpha=damping).add_(gradient)
    return LinearStep(step, length(residual), status, spent + 1)
