"""The minimiser of a cubic model over a Krylov space: products only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.cost import Cost, Meter
from curenu.cubic.eigen import solve_diagonal
from curenu.cubic.model import Budget, CubicModel, CubicStep
from curenu.errors import BadRequest
from curenu.operators import KrylovSpace, dense_symmetric, inner, length, random_direction
from curenu.status import Status

__all__ = ["LanczosFactorisation", "LanczosSolver"]

_MEMORY_BUDGET = 2**30  # bytes for the basis


@dataclass(frozen=True)
class _Projected:
    """The answer inside the Krylov space, and its residual |∇m(Qy)| ≤ `residual`."""

    damping: float
    coordinates: NDArray[np.float64]
    hard_case: bool
    residual: float
    converged: bool
    bend: float  # y·Ty
    lambda_min: float


@dataclass(frozen=True)
class LanczosFactorisation:
    """A cubic model reduced to T_k, which no penalty enters: `solve` for any of them.

    `linear` is the length of the start vector, 0 for a zero gradient; `noise` the length of
    the random part added to it; `formed` the products that made the matrix, if there is one.
    `cost` is that of the k products.
    """

    model: CubicModel = field(repr=False)
    space: KrylovSpace = field(repr=False)
    tolerance: float
    size: float
    linear: float
    noise: float
    formed: int | None
    cost: Cost

    def solve(self, penalty: float) -> CubicStep:
        """Minimiser over the space for M = `penalty`.

        No product with the basis stored, k products otherwise. The status says whether the
        residual meets the tolerance at this penalty.
        """
        meter = Meter()
        with meter.measure() as spent:
            found = _project(self, penalty)
            step = self.space.combine(found.coordinates)
            cubic = penalty / 6.0 * float(np.linalg.norm(found.coordinates)) ** 3
            done = found.converged or self.space.remainder == 0.0
            return CubicStep(
                step=step,
                damping=found.damping,
                status=Status.CONVERGED if done else Status.PRODUCT_LIMIT,
                hard_case=found.hard_case,
                residual=found.residual,
                change=inner(self.model.gradient, step) + 0.5 * found.bend + cubic,
                lambda_min=found.lambda_min,
                cost=replace(self.cost + spent(), hvps=self._products()),
            )

    def _products(self) -> int:
        return self.space.products if self.formed is None else self.formed


@dataclass(frozen=True)
class LanczosSolver:
    """Minimiser of a cubic model over the Krylov space of g: products only.

    y minimises |g| e_1·y + ½ y·T_k y + (M/6)|y|³ and s = Q_k y. Stops when the residual
    beta_k|y_k| is at most `tolerance`·min(1, |s|)·|g|, after `max_products` vectors, or when
    the space is exhausted (then the answer is exact in it, and `tolerance` may be 0).

    The basis is kept, fully orthogonalised, when it fits in `memory_budget` bytes (None:
    1 GiB). Otherwise every product is made twice and four vectors of length d are alive
    whatever k is; the step is the same.

    With `perturbation` a random part of length eps^(2/3)|g| is added to the start, so that
    an eigenvector the gradient does not see is found (the hard case; g = 0 starts from a
    random direction always). The residual reported covers it.

    With `dense` the matrix is formed first, 8 d² bytes, and multiplied by instead of the
    examples being passed: for a small residual, which takes hundreds of products, at a d where
    an eigendecomposition, O(d³), is what takes the time. Section 2.2 of
    `docs/theory.md`; Cartis, Gould and Toint, Adaptive cubic regularisation methods, 2011,
    section 6; differs in: the random part, the two passes.
    """

    max_products: int = 20
    tolerance: float = 0.1
    memory_budget: int | None = None
    perturbation: bool = True
    dense: bool = False

    def __post_init__(self) -> None:
        if self.max_products < 1:
            raise BadRequest(f"max_products is {self.max_products}.", "at least 1.")
        if not 0.0 <= self.tolerance < float("inf"):
            raise BadRequest(f"tolerance is {self.tolerance}.", "0 or a positive number.")

    def budget(self, dimension: int) -> Budget:
        """The worst of float32 and float64: products twice, or a basis of k + 1 vectors."""
        entries, bytes_ = min(self.max_products, dimension) * dimension, self._bytes()
        products = self.max_products * (1 if 8 * entries <= bytes_ else 2)
        return Budget(
            products=dimension if self.dense else products,
            vectors=4 if 4 * entries > bytes_ else min(self.max_products, dimension) + 4,
            matrices=2 if self.dense else 0,
        )

    def factorise(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> LanczosFactorisation:
        """Run Lanczos until `model.penalty` is solved; the result solves for any penalty."""
        meter = Meter()
        with meter.measure() as spent:
            gradient = model.gradient.detach()
            size = length(gradient)
            noise = torch.finfo(gradient.dtype).eps ** (2 / 3) * size * self.perturbation
            curvature = dense_symmetric(model.curvature) if self.dense else model.curvature
            operator = self.dense and not isinstance(model.curvature, Tensor)
            formed = len(gradient) if operator else None
            space = KrylovSpace(
                curvature,
                partial(_start, gradient, size, noise, _seed(generator)),
                limit=self.max_products,
                memory_budget=self._bytes(),
            )
            linear = space.start_length if size > 0.0 else 0.0
            grown = LanczosFactorisation(
                model, space, self.tolerance, size, linear, noise, formed, Cost()
            )
            for _ in space.grow():
                if self.tolerance > 0.0 and _project(grown, model.penalty).converged:
                    break
            meter.hvps += space.products if formed is None else formed
            return replace(grown, cost=spent())

    def __call__(self, model: CubicModel, *, generator: torch.Generator | None = None) -> CubicStep:
        """The step of `model`; without a generator the random part is always the same."""
        return self.factorise(model, generator=generator).solve(model.penalty)

    def _bytes(self) -> int:
        return _MEMORY_BUDGET if self.memory_budget is None else self.memory_budget


def _project(reduced: LanczosFactorisation, penalty: float) -> _Projected:
    values, vectors = reduced.space.ritz()
    found = solve_diagonal(values, reduced.linear * vectors[0], penalty, negligible=reduced.noise)
    y = vectors @ found.solution
    size, residual = float(np.linalg.norm(y)), reduced.space.remainder * abs(float(y[-1]))
    if reduced.size > 0.0:
        bound = reduced.tolerance * min(1.0, size) * reduced.size
    else:  # the step is along the lowest eigenvector: its own equation sets the scale
        bound = reduced.tolerance * max(0.0, -float(values[0])) * size
    return _Projected(
        damping=found.damping,
        coordinates=y,
        hard_case=found.hard_case,
        residual=residual + (1.0 + found.hard_case) * reduced.noise,
        converged=size > 0.0 and residual <= bound,
        bend=float(values @ found.solution**2),
        lambda_min=float(values[0]),
    )


def _start(gradient: Tensor, size: float, noise: float, seed: int) -> Tensor:
    if size > 0.0 and noise == 0.0:
        return gradient.clone()
    # Made from a seed, not from a running generator: the second pass needs it again.
    direction = random_direction(gradient, torch.Generator().manual_seed(seed))
    return direction if size == 0.0 else direction.mul_(noise).add_(gradient)


def _seed(generator: torch.Generator | None) -> int:
    if generator is None:
        return 0
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))
