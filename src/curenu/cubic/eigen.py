"""The exact minimiser of a cubic model, from an eigendecomposition in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.budgets import DENSE_MEMORY
from curenu.cost import Cost, Meter
from curenu.cubic.model import Budget, CubicModel, CubicStep
from curenu.operators import dense_symmetric, length
from curenu.settings import Bytes, Settings
from curenu.status import Status

__all__ = ["DiagonalSolution", "EigenFactorisation", "EigenSolver", "solve_diagonal"]

Vector = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_FEW = 8.0  # roundings a computed zero may be off by
_TINY = 1e-300  # the absolute tolerance a root finder insists on: none


@dataclass(frozen=True)
class DiagonalSolution:
    """Minimiser of a cubic model with diagonal curvature."""

    damping: float
    solution: Vector
    hard_case: bool


@dataclass(frozen=True)
class EigenFactorisation:
    """A decomposed cubic model: `solve` gives the exact step for any penalty.

    H = U diag(eigenvalues) Uᵀ, coefficients = Uᵀg. `cost` is that of the decomposition.
    """

    model: CubicModel = field(repr=False)
    matrix: Tensor = field(repr=False)
    eigenvalues: Vector
    vectors: Tensor = field(repr=False)
    coefficients: Vector
    cost: Cost

    def solve(self, penalty: float) -> CubicStep:
        """Global minimiser for M = `penalty`; no product, O(d²).

        The residual and m(s) are measured on the step returned, in its own type.
        """
        meter = Meter()
        with meter.measure() as spent:
            found = solve_diagonal(self.eigenvalues, self.coefficients, penalty)
            gradient = self.model.gradient
            step = (self.vectors @ torch.as_tensor(found.solution).to(self.vectors)).to(gradient)
            exact = replace(
                self.model,
                gradient=gradient.to(torch.float64),
                curvature=self.matrix,
                penalty=penalty,
            )
            wide = step.to(torch.float64)
            return CubicStep(
                step=step,
                damping=found.damping,
                status=Status.CONVERGED,
                hard_case=found.hard_case,
                residual=length(exact.residual(wide)),
                change=exact.change(wide),
                lambda_min=float(self.eigenvalues[0]),
                cost=self.cost + spent(),
            )


@dataclass(frozen=True)
class EigenSolver(Settings):
    """Global minimiser of any cubic model whose matrix fits in memory.

    (H + γI) s = −g, γ = (M/2)|s|, H + γI ⪰ 0: equations (2) and (4) of `docs/theory.md`.
    Costs one eigendecomposition, O(d³) time and 24 d² bytes, at most `memory_budget`. An
    operator made dense counts as d products here; what it took, which may be far less, is in
    the cost of the objective it comes from. H may be indefinite or singular.

    Raises `UnsupportedModel` for an operator without `dense` or beyond the budget,
    `BadRequest` for a matrix that is not symmetric.
    """

    memory_budget: Bytes = DENSE_MEMORY

    def budget(self, dimension: int) -> Budget:
        """d products if the curvature is an operator; matrix, vectors and workspace."""
        return Budget(products=dimension, vectors=2, matrices=3)

    def factorise(
        self, model: CubicModel, *, generator: torch.Generator | None = None
    ) -> EigenFactorisation:
        """Decompose once; the result solves for any penalty. `generator` is not used."""
        meter = Meter()
        with meter.measure() as spent:
            matrix = dense_symmetric(model.curvature, self.memory_budget)
            if not isinstance(model.curvature, Tensor):
                meter.hvps += len(matrix)
            values, vectors = torch.linalg.eigh(matrix)
            coefficients = vectors.mT @ model.gradient.detach().to(matrix)
            return EigenFactorisation(
                model, matrix, values.cpu().numpy(), vectors, coefficients.cpu().numpy(), spent()
            )

    def __call__(self, model: CubicModel, *, generator: torch.Generator | None = None) -> CubicStep:
        """The step of `model`; nothing here is random."""
        return self.factorise(model).solve(model.penalty)


def solve_diagonal(
    eigenvalues: Vector, coefficients: Vector, penalty: float, negligible: float = 0.0
) -> DiagonalSolution:
    """Minimise c·y + ½ Σ λ_j y_j² + (M/6)|y|³ exactly, λ `[k]` ascending, c `[k]`.

    Works in mu = γ − shift and λ + shift, shift = max(0, −λ_1), so that nothing cancels next
    to the pole at mu = 0. Parts of c in the lowest eigenspace of at most `negligible` (and
    always those of a few roundings of |c|) count as zero: in the hard case the answer is
    completed along the first eigenvector, on the side where c does not point.
    """
    shift = max(0.0, -float(eigenvalues[0]))
    shifted = eigenvalues + shift
    size = float(np.linalg.norm(coefficients))
    lowest = shifted <= _FEW * _EPS * float(np.abs(eigenvalues).max())
    zero = max(negligible, _FEW * _EPS * math.sqrt(len(coefficients)) * size)
    if float(np.abs(coefficients[lowest]).max(initial=0.0)) <= zero:
        rest = np.where(lowest, 0.0, coefficients)
        solution = _damped(shifted, rest, 0.0)
        free = (2.0 * shift / penalty) ** 2 - float(solution @ solution)
        if shift > 0.0 and free > 0.0:
            solution[0] = math.copysign(math.sqrt(free), -coefficients[0])
            return DiagonalSolution(shift, solution, hard_case=True)
    if size == 0.0:
        return DiagonalSolution(0.0, np.zeros_like(coefficients), hard_case=False)
    mu = _secular_root(shifted, coefficients, shift, penalty)
    return DiagonalSolution(shift + mu, _damped(shifted, coefficients, mu), hard_case=False)


def _damped(shifted: Vector, coefficients: Vector, mu: float) -> Vector:
    """−c_j/(λ_j + mu), and 0 where c_j = 0 whatever the denominator."""
    return -np.divide(
        coefficients, shifted + mu, out=np.zeros_like(coefficients), where=coefficients != 0.0
    )


def _secular_root(shifted: Vector, coefficients: Vector, shift: float, penalty: float) -> float:
    """Root mu > 0 of psi(mu) = 1/|s(mu)| − M/(2(shift + mu)), to a few roundings."""
    from scipy.optimize import brentq  # most of a second that an import need not take

    def psi(mu: float) -> float:
        size = float(np.linalg.norm(_damped(shifted, coefficients, mu)))
        return 1.0 / size - penalty / (2.0 * (shift + mu))

    # |s| is at least each of its parts and at most |c| over the smallest denominator.
    parts = _positive_root(shifted, shift, 0.5 * penalty * np.abs(coefficients))
    whole = np.array([0.5 * penalty * float(np.linalg.norm(coefficients))])
    lower = float(parts.max()) * (1.0 - 1e-8)
    upper = float(_positive_root(shifted[:1], shift, whole)[0]) * (1.0 + 1e-8)
    if psi(lower) >= 0.0:
        return lower
    root: Any = brentq(psi, lower, upper, xtol=_TINY, rtol=cast(Any, 4.0 * _EPS), maxiter=2000)
    return float(root)


def _positive_root(first: Vector, second: float, target: Vector) -> Vector:
    """Root mu ≥ 0 of (first + mu)(second + mu) = target, 0 if there is none."""
    total = first + second + np.sqrt((first - second) ** 2 + 4.0 * target)
    excess = np.maximum(target - first * second, 0.0)
    return 2.0 * np.divide(excess, total, out=np.zeros_like(total), where=total > 0.0)
