"""The minimiser of a cubic model over a Krylov space: products only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.budgets import BASIS_MEMORY, LEAST_BASIS
from curenu.cost import Cost, Meter
from curenu.cubic.eigen import solve_diagonal
from curenu.cubic.model import Budget, CubicModel, CubicStep
from curenu.distributed import summed
from curenu.operators import (
    ComplementSpace,
    Curvature,
    KrylovSpace,
    dense_symmetric,
    inner,
    is_semidefinite,
    kept_vectors,
    length,
    random_direction,
)
from curenu.settings import Bytes, Count, NotNegative, Settings, ZeroOrMore
from curenu.status import Status

__all__ = ["LanczosFactorisation", "LanczosSolver"]

_DOUBT = 0.01  # probability that the search for a hidden eigenvalue ends too early


@dataclass(frozen=True)
class _Projected:
    """The answer inside the space, and its residual |∇m(s)| ≤ `residual`."""

    damping: float
    coordinates: NDArray[np.float64]
    hard_case: bool
    residual: float
    converged: bool
    bend: float  # s·Hs
    lambda_min: float


@dataclass(frozen=True)
class LanczosFactorisation:
    """A cubic model reduced to a small matrix that no penalty enters: `solve` for any of them.

    `linear` is the length of the start vector, 0 for a zero gradient; `noise` the length of
    the random part added to it; `formed` the products that made the matrix, if there is one;
    `hidden` what was looked at beside the Krylov space, None if nothing was. `cost` is that of
    the products.
    """

    model: CubicModel = field(repr=False)
    space: KrylovSpace = field(repr=False)
    tolerance: float
    size: float
    linear: float
    noise: float
    formed: int | None
    cost: Cost
    hidden: ComplementSpace | None = field(default=None, repr=False)

    def solve(self, penalty: float) -> CubicStep:
        """Minimiser over the space for M = `penalty`.

        No product with the basis stored, k products otherwise. The status says whether the
        residual meets the tolerance at this penalty.
        """
        meter = Meter()
        with meter.measure() as spent:
            found = _project(self, penalty)
            step = (self.hidden or self.space).combine(found.coordinates)
            cubic = penalty / 6.0 * float(np.linalg.norm(found.coordinates)) ** 3
            closed = self.space.remainder == 0.0
            closed = closed and (self.hidden is None or self.hidden.remainder == 0.0)
            done = found.converged or closed
            return CubicStep(
                step=step,
                damping=found.damping,
                status=Status.CONVERGED if done else Status.PRODUCT_LIMIT,
                hard_case=found.hard_case,
                residual=found.residual,
                change=inner(self.model.gradient, step) + 0.5 * found.bend + cubic,
                lambda_min=found.lambda_min,
                cost=replace(self.cost + spent(), hvps=self.products),
            )

    @property
    def products(self) -> int:
        """Products with H so far; those that made the matrix where it was formed."""
        if self.formed is not None:
            return self.formed
        return self.space.products + (0 if self.hidden is None else len(self.hidden))


@dataclass(frozen=True)
class LanczosSolver(Settings):
    """Minimiser of a cubic model over the Krylov space of g: products only.

    y minimises |g| e_1·y + ½ y·T_k y + (M/6)|y|³ and s = Q_k y. Stops when the residual
    beta_k|y_k| is at most `tolerance`·min(1, |s|)·|g|, after `max_products` vectors, or when
    the space is exhausted (then the answer is exact in it, and `tolerance` may be 0).

    The basis is kept, fully orthogonalised, when it fits in `memory_budget` bytes (None:
    1 GiB) or has at most 8 vectors. Otherwise every product is made twice and four vectors of
    length d are alive whatever k is; the step is the same.

    A Krylov space of g never leaves the eigenvectors that g has a part along, so the lowest one
    may stay hidden (the hard case). Then a second block is run, from a random vector in the
    complement of the stored basis, unless the curvature says `positive_semidefinite`: until,
    with probability .99, what may still hide lowers the model by at most `tolerance` of its
    fall; to its end if `tolerance` is 0. `hidden_products` bounds it
    (None: as `max_products`; 0: not looked for), and so does `memory_budget`, which holds for
    both blocks together. Without a stored basis there is no second block: a random part of
    length eps^(2/3)|g| is added to the start instead, covered by the residual reported, which
    an eigenvector far from the others can grow from; one that is not is not found. g = 0 starts
    from a random direction.

    With `dense` the matrix is formed first, 8 d² bytes, and multiplied by instead of the
    examples being passed: for a small residual, which takes hundreds of products, at a d where
    an eigendecomposition, O(d³), is what takes the time. Section 2.2 of
    `docs/theory.md`; Cartis, Gould and Toint, Adaptive cubic regularisation methods, 2011,
    section 6; differs in: the second block, the two passes.
    """

    max_products: Count = 20
    tolerance: NotNegative = 0.1
    memory_budget: Bytes | None = None
    hidden_products: ZeroOrMore | None = None
    dense: bool = False

    def budget(self, dimension: int) -> Budget:
        """The worst of float32 and float64: products twice, or a basis of k + 1 vectors."""
        rows = min(self.max_products, dimension)
        narrow, wide = (max(LEAST_BASIS, self._bytes() // (size * dimension)) for size in (4, 8))
        hidden = min(self._most_hidden(), dimension, max(0, narrow - rows))
        return Budget(
            products=dimension if self.dense else self.max_products * (1 if rows <= wide else 2),
            vectors=rows + 4 + self.dense * hidden if rows <= narrow else 4,
            matrices=2 if self.dense else 0,
            hidden=0 if self.dense else hidden,
        )

    def factorise(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> LanczosFactorisation:
        """Run Lanczos until `model.penalty` is solved; the result solves for any penalty."""
        meter = Meter()
        with meter.measure() as spent:
            seed = _seed(generator)
            curvature = dense_symmetric(model.curvature) if self.dense else model.curvature
            keep = kept_vectors(model.gradient, self._bytes())
            grown = self._reduced(model, curvature, keep, seed)
            for _ in grown.space.grow():
                if self.tolerance > 0.0 and _project(grown, model.penalty).converged:
                    break
            grown = replace(grown, hidden=self._searched(grown, curvature, keep, seed))
            meter.hvps += grown.products
            return replace(grown, cost=spent())

    def __call__(self, model: CubicModel, *, generator: torch.Generator | None = None) -> CubicStep:
        """The step of `model`; without a generator the random parts are always the same."""
        return self.factorise(model, generator=generator).solve(model.penalty)

    def _reduced(
        self, model: CubicModel, curvature: Tensor | Curvature, keep: int, seed: int
    ) -> LanczosFactorisation:
        """The model with a Krylov space that has not grown yet."""
        gradient = model.gradient.detach()
        size = length(gradient)
        blind = min(self.max_products, summed(len(gradient))) > keep and not self._knows(model)
        noise = torch.finfo(gradient.dtype).eps ** (2 / 3) * size * blind
        space = KrylovSpace(
            curvature,
            partial(_start, gradient, size, noise, seed),
            limit=self.max_products,
            keep=keep,
        )
        operator = self.dense and not isinstance(model.curvature, Tensor)
        return LanczosFactorisation(
            model=model,
            space=space,
            tolerance=self.tolerance,
            size=size,
            linear=space.start_length if size > 0.0 else 0.0,
            noise=noise,
            formed=len(gradient) if operator else None,
            cost=Cost(),
        )

    def _searched(
        self, grown: LanczosFactorisation, curvature: Tensor | Curvature, keep: int, seed: int
    ) -> ComplementSpace | None:
        """A second block, grown until nothing below −gamma can be expected to hide."""
        space, dimension = grown.space, summed(len(grown.model.gradient))
        left = min(dimension - len(space), keep - min(self.max_products, dimension))
        limit = min(self._most_hidden(), left)
        if not space.stored or grown.size == 0.0 or limit < 1 or self._knows(grown.model):
            return None
        # Another stream than the start's, were that ever random as well.
        hidden = ComplementSpace(
            curvature, space, torch.Generator().manual_seed(seed ^ 1), limit=limit
        )
        for _ in hidden.grow():
            if self.tolerance > 0.0 and _is_seen(replace(grown, hidden=hidden)):
                break
        return hidden

    def _knows(self, model: CubicModel) -> bool:
        """Whether there is no reason to look for what g does not see."""
        return self._most_hidden() == 0 or is_semidefinite(model.curvature)

    def _most_hidden(self) -> int:
        return self.max_products if self.hidden_products is None else self.hidden_products

    def _bytes(self) -> int:
        return BASIS_MEMORY if self.memory_budget is None else self.memory_budget


def _project(reduced: LanczosFactorisation, penalty: float) -> _Projected:
    hidden, space = reduced.hidden, reduced.space
    values, vectors = space.ritz() if hidden is None else hidden.joint_pairs()
    found = solve_diagonal(values, reduced.linear * vectors[0], penalty, negligible=reduced.noise)
    y = vectors @ found.solution
    size = float(np.linalg.norm(y))
    residual = space.remainder * abs(float(y[-1])) if hidden is None else hidden.leads_out(y)
    if reduced.size > 0.0:
        bound = reduced.tolerance * min(1.0, size) * reduced.size
        # What goes along the second block has its own equation, whose terms are gamma|z| long.
        bound += reduced.tolerance * found.damping * float(np.linalg.norm(y[len(space) :]))
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


def _is_seen(reduced: LanczosFactorisation) -> bool:
    """Whether what may still hide lowers the model by `tolerance` of its fall at most.

    Were the lowest eigenvalue −gamma, the minimum would be the dual (3) at gamma.
    """
    hidden, penalty = reduced.hidden, reduced.model.penalty
    if hidden is None:
        return True
    values, vectors = hidden.joint_pairs()
    found = _project(reduced, penalty)
    lowest, bound = hidden.lowest(_DOUBT)
    if found.damping <= -lowest.value and lowest.residual > -reduced.tolerance * lowest.value:
        return False  # the step goes along an eigenvector that is not known well enough yet

    if bound >= -found.damping:
        return True
    change = reduced.linear * float(found.coordinates[0]) + 0.5 * found.bend
    change += penalty / 6.0 * float(np.linalg.norm(found.coordinates)) ** 3
    parts = np.square(reduced.linear * vectors[0])
    least = -0.5 * float((parts / (values - bound)).sum()) + 2.0 / 3.0 * bound**3 / penalty**2
    return least >= (1.0 + reduced.tolerance) * change


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
