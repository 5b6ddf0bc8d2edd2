"""What a Krylov space cannot see: a second one, from a random vector, in its complement."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.distributed import summed
from curenu.operators.krylov import (
    KrylovSpace,
    LanczosStep,
    lanczos,
    ritz_pairs,
    take_off,
)
from curenu.operators.operator import Curvature, inner, length, random_direction
from curenu.operators.spectrum import Recurrence, RitzValue

__all__ = ["ComplementSpace"]


class ComplementSpace:
    """Lanczos on P H P, P = I − Q Qᵀ, from a random vector: V, orthogonal to a stored Q.

    A Krylov space of g lies in the span of the eigenvectors that g has a part along; this one
    has parts along the others too. With S = VᵀHV tridiagonal and c = Vᵀq_{k+1},

        [Q V]ᵀ H [Q V] = [ T  C ; Cᵀ  S ],   C = beta_k e_k cᵀ

    is known without a product more. `limit`, 1 or more, bounds the vectors of V, one product
    each. The stored Q must leave a direction over.
    """

    def __init__(
        self,
        operator: Tensor | Curvature,
        space: KrylovSpace,
        generator: torch.Generator,
        *,
        limit: int,
    ) -> None:
        basis = space.basis
        if basis is None:
            raise ValueError("the basis of the space is not stored")
        self._space, self._next = space, space.following
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []
        self.couplings: list[float] = []
        self._missed = (0, 1.0)  # at how many vectors, and how much of q_{k+1}
        self._limit = min(limit, summed(basis.shape[1]) - len(basis))
        start = random_direction(basis[0], generator)
        for _ in range(2):
            start = take_off(start, basis)
            start.div_(length(start))
        self._basis = basis.new_empty(self._limit + 1, basis.shape[1])
        scale = max(map(abs, (*space.diagonal, *space.off_diagonal)))
        self._steps: Generator[LanczosStep, None, None] = lanczos(
            operator, start, self._basis, against=basis, scale=scale
        )

    def __len__(self) -> int:
        return len(self.diagonal)

    @property
    def remainder(self) -> float:
        """How far V is from closed under P H P; 0 when it is."""
        return self.off_diagonal[-1]

    def grow(self) -> Iterator[None]:
        """Add one vector, at one product, for each item drawn, up to the limit."""
        while len(self) < self._limit:
            step = next(self._steps, None)
            if step is None:
                return
            self.diagonal.append(step.diagonal)
            self.off_diagonal.append(step.off_diagonal)
            self.couplings.append(self._coupling(step.vector))
            yield

    def lowest(self, failure_probability: float) -> tuple[RitzValue, float]:
        """(smallest eigenvalue of S, what none of P H P is below but with this probability)."""
        size = summed(self._basis.shape[1]) - len(self._space)
        seen = Recurrence(tuple(self.diagonal), tuple(self.off_diagonal), size)
        values, vectors = ritz_pairs(self.diagonal, self.off_diagonal)
        residual = self.remainder * abs(float(vectors[-1, 0]))
        return RitzValue(float(values[0]), residual), seen.lower_bound(failure_probability)

    def joint_pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues `[k + m]`, ascending, and eigenvectors of [Q V]ᵀ H [Q V]."""
        first, k = self._space, len(self._space)
        matrix = np.diag([*first.diagonal, *self.diagonal])
        beside = [*first.off_diagonal[:-1], 0.0, *self.off_diagonal[:-1]]
        matrix += np.diag(beside, -1)
        matrix[k:, k - 1] = first.remainder * np.array(self.couplings)
        values, vectors = np.linalg.eigh(matrix, UPLO="L")
        return values, vectors

    def leads_out(self, coordinates: NDArray[np.float64]) -> float:
        """|(I − QQᵀ − VVᵀ) H [Q V] coordinates|: what of the image both spaces miss."""
        k = len(self._space)
        first = self._space.remainder * float(coordinates[k - 1])
        second = self.remainder * float(coordinates[-1])
        ahead = self._coupling(self._basis[len(self)]) if second != 0.0 else 0.0
        missed = self._missed_of_next() if first != 0.0 else 0.0
        square = (first * missed) ** 2 + second**2 + 2.0 * first * second * ahead
        return max(0.0, square) ** 0.5

    def combine(self, coordinates: NDArray[np.float64]) -> Tensor:
        """[Q V]·coordinates `[d]`; no product."""
        k = len(self._space)
        step = self._space.combine(coordinates[:k])
        rows = self._basis[: len(self)]
        return step.addmv_(rows.mT, torch.as_tensor(coordinates[k:]).to(rows))

    def _missed_of_next(self) -> float:
        """|q_{k+1} − V c|, from the vectors: 1 − |c|² is all rounding where nothing is missed."""
        if self._next is None:
            return 0.0
        if self._missed[0] != len(self):
            rest = take_off(self._next.clone(), self._basis[: len(self)])
            self._missed = len(self), length(rest)
        return self._missed[1]

    def _coupling(self, vector: Tensor) -> float:
        return 0.0 if self._next is None else inner(vector, self._next)
