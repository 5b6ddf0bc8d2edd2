"""The Lanczos recurrence and the Krylov space it spans, stored or run twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.budgets import LEAST_BASIS
from curenu.distributed import least, pieces, summed
from curenu.errors import IllPosed
from curenu.operators.operator import Curvature, inner, length, product

__all__ = ["KrylovSpace", "LanczosStep", "kept_vectors", "lanczos", "ritz_pairs", "take_off"]

_BREAKDOWN = 4.0  # roundings: a smaller beta, relative to T, is a zero


class LanczosStep(NamedTuple):
    """Row k of T: alpha_k, beta_k (0 when the space is exhausted) and q_k `[d]`."""

    diagonal: float
    off_diagonal: float
    vector: Tensor


def lanczos(
    operator: Tensor | Curvature,
    start: Tensor,
    basis: Tensor | None = None,
    *,
    against: Tensor | None = None,
    scale: float = 0.0,
) -> Generator[LanczosStep, None, None]:
    """Yield the Lanczos recurrence of a symmetric operator, one product a step.

    H q_k = beta_{k-1} q_{k-1} + alpha_k q_k + beta_k q_{k+1}, q_1 = start/|start|.

    `start` `[d]` is used as working memory. Without `basis` three vectors of length d are
    alive whatever k is, and a yielded vector holds until the next step only. With `basis`
    `[k + 1, d]` the vectors are written there and orthogonalised twice against all before.
    Ends at beta_k = 0 (relative to the entries of T and to `scale`) or when the basis is full
    or spans the whole space.

    With `against` `[m, d]`, orthonormal rows that `start` is orthogonal to, the operator is
    P H P, P the projection onto their complement, where all vectors then are; it needs `basis`.
    Raises `IllPosed` when a product is not finite.
    Source: Golub and Van Loan, Matrix Computations, section 10.1.
    """
    rounding = _BREAKDOWN * torch.finfo(start.dtype).eps
    dimension = summed(len(start)) - (0 if against is None else len(against))
    current, previous = start.div_(length(start)), torch.zeros_like(start)
    if basis is not None:
        current = basis[0].copy_(current)
    del start  # with a basis it is free from here
    beta, count = 0.0, 0
    while basis is None or count + 1 < len(basis):
        rest = previous if basis is None else basis[count + 1]
        torch.add(product(operator, current), previous, alpha=-beta, out=rest)
        alpha = inner(rest, current)
        rest.add_(current, alpha=-alpha)
        count += 1
        if basis is not None:
            for _ in range(2):
                if against is not None:
                    take_off(rest, against)
                take_off(rest, basis[:count])
        beta = length(rest)
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            raise IllPosed(
                "NaN or Inf in a Hessian-vector product.",
                "check data, loss and weights.",
            )
        scale = max(scale, abs(alpha), beta)
        spanned = basis is not None and count == dimension
        if spanned or beta <= rounding * scale:
            yield LanczosStep(alpha, 0.0, current)
            return
        rest.div_(beta)
        yield LanczosStep(alpha, beta, current)
        previous, current = current, rest


def take_off(vector: Tensor, rows: Tensor) -> Tensor:
    """`vector` `[d]` without its part in the span of orthonormal `rows` `[m, d]`, in place."""
    return vector.addmv_(rows.mT, summed(torch.mv(rows, vector)), alpha=-1.0)


def ritz_pairs(
    diagonal: Sequence[float], off_diagonal: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues `[k]`, ascending, and eigenvectors `[k, k]` of T_k; beta_k is left out."""
    from scipy.linalg import eigh_tridiagonal  # half a second that an import need not take

    values, vectors = eigh_tridiagonal(diagonal, off_diagonal[:-1])
    return values, vectors


def kept_vectors(template: Tensor, memory_budget: int) -> int:
    """How many vectors shaped as `template` are kept on a budget: `LEAST_BASIS` at least.

    The same in every process that has a piece of them.
    """
    here = memory_budget // (template.numel() * template.element_size())
    return max(LEAST_BASIS, least(here) if pieces() else here)


class KrylovSpace:
    """T_k of a symmetric operator from one start vector, and the vectors Q_k y.

    The basis Q_k is kept, fully orthogonalised, when `limit` vectors (at most d) are no more
    than `keep`; otherwise `combine` runs the recurrence again, k products more, and the number
    of vectors of length d does not depend on k. `start` makes the start vector, the same at
    every call. `limit` bounds k.
    """

    def __init__(
        self,
        operator: Tensor | Curvature,
        start: Callable[[], Tensor],
        *,
        limit: int,
        keep: int = 0,
    ) -> None:
        self._operator, self._start, self._limit = operator, start, limit
        first = start()
        rows = min(limit, summed(len(first)))
        self.stored = rows <= keep
        self._basis = first.new_empty(rows + 1, len(first)) if self.stored else None
        self.start_length = length(first)
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []
        self.products = 0
        self._steps: Generator[LanczosStep, None, None] = lanczos(operator, first, self._basis)

    def __len__(self) -> int:
        return len(self.diagonal)

    @property
    def remainder(self) -> float:
        """beta_k: how far the space is from closed under the operator; 0 when it is."""
        return self.off_diagonal[-1]

    def grow(self) -> Iterator[None]:
        """Add one vector, at one product, for each item drawn, up to the limit."""
        while len(self) < self._limit:
            step = next(self._steps, None)
            if step is None:
                return
            self.products += 1
            self.diagonal.append(step.diagonal)
            self.off_diagonal.append(step.off_diagonal)
            yield

    def ritz(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues `[k]`, ascending, and eigenvectors `[k, k]` of T_k."""
        return ritz_pairs(self.diagonal, self.off_diagonal)

    @property
    def basis(self) -> Tensor | None:
        """Q_k as rows `[k, d]`, None where it is not stored."""
        return None if self._basis is None else self._basis[: len(self)]

    @property
    def following(self) -> Tensor | None:
        """q_{k+1} `[d]`: where the operator leads out of a stored space; None if it does not."""
        leads = self._basis is not None and self.remainder > 0.0
        return self._basis[len(self)] if self._basis is not None and leads else None

    def combine(self, coefficients: NDArray[np.float64]) -> Tensor:
        """Q_k·coefficients `[d]`; k products when the basis is not stored, else none."""
        if self._basis is not None:
            basis = self._basis[: len(self)]
            return torch.mv(basis.mT, torch.as_tensor(coefficients).to(basis))
        self._steps.close()  # frees its vectors; the space does not grow after this
        first = self._start()
        total = torch.zeros_like(first)
        steps = lanczos(self._operator, first)
        for coefficient, step in zip(coefficients, steps, strict=False):
            total.add_(step.vector, alpha=float(coefficient))
            self.products += 1
        return total
