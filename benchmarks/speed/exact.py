"""One exact CuReNU step against the published way of taking it.

The published way: the Hessian row by row, one backward pass over all images each, then a
Cholesky factorisation of H + gamma I for every gamma that a bisection on
|s(gamma)| = 2 gamma / M tries. A share of its rows, spread evenly, is timed and multiplied to
all of them (all, in a smoke run), half before and half after ours; one of its factorisations
is timed and multiplied by the number that the bisection needs. Ours is timed whole, with the
gradient, and solved twice, by an eigendecomposition and by Lanczos on the matrix down to a
relative residual of 1e-6: for the Hessian and, under `gauss_newton`, for the Gauss-Newton
matrix. The published way has no Gauss-Newton matrix, so there the Hessian's rows are what it is
compared with.
Seconds are of the processor, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from race import images
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.autodiff import Kind
from curenu.cubic import CubicModel, EigenSolver, LanczosSolver
from curenu.cubic.eigen import EigenFactorisation
from curenu.risks import EmpiricalRisk

__all__ = ["measure"]

T = TypeVar("T")

_KINDS: tuple[Kind, ...] = ("hessian", "gauss_newton")
_ROWS = 40
_PENALTY = 1.0
_TOLERANCE = 1e-6  # of gamma, relative, where the bisection ends; of the residual, for Lanczos
_LONGEST = 600  # vectors of its basis at most


def measure(*, smoke: bool) -> dict[str, Any]:
    size, width = (1000, 1) if smoke else (10_000, 6)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 10))
    inputs, labels = images(size)
    data = TensorDataset(inputs, labels)
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=1000)
    dimension = risk.dimension
    timed = dimension if smoke else _ROWS
    rows = torch.linspace(0, dimension - 1, timed).long()
    for kind in _KINDS:  # both ways are warm when they are timed
        _matrix(risk.sample(64, torch.Generator().manual_seed(0)), kind)
    _row_seconds(model, inputs, labels, rows[:2])
    before = _row_seconds(model, inputs, labels, rows[::2])
    forms = {kind: _ours(risk, kind) for kind in _KINDS}
    row = (before + _row_seconds(model, inputs, labels, rows[1::2])) / timed
    found = {kind: _compared(dimension, row, form) for kind, form in forms.items()}
    return {
        "parameters": dimension,
        "examples": size,
        "rows_timed": timed,
        **found["hessian"],
        "gauss_newton": found["gauss_newton"],
    }


def _ours(risk: EmpiricalRisk, kind: Kind) -> dict[str, Any]:
    """Our seconds, and those of one factorisation of the same matrix."""
    products = risk.meter.hvps
    with_gradient, (curvature, matrix) = _timed(lambda: _matrix(risk, kind))
    problem = CubicModel(curvature.gradient, matrix, _PENALTY)
    solver = EigenSolver(memory_budget=2**34)
    decomposed, whole = _timed(lambda: solver.factorise(problem))
    solved, step = _timed(lambda: whole.solve(_PENALTY))
    krylov = LanczosSolver(
        max_products=_LONGEST, tolerance=_TOLERANCE, memory_budget=2**34, hidden_products=0
    )
    reduced, short = _timed(lambda: krylov(problem))
    shift = float(torch.linalg.matrix_norm(matrix, float("inf")))
    factorisation, _ = _timed(lambda: _factorise(matrix, problem.gradient.double(), shift))
    count, damping = _bisection(whole, shift)
    return {
        "hessian": with_gradient,
        "solve": decomposed + solved,
        "krylov": {
            "seconds": reduced,
            "vectors": short.cost.hvps,
            "status": short.status.name,
            "apart": float((short.step - step.step).norm() / step.step.norm()),
        },
        "products": risk.meter.hvps - products,
        "factorisation": factorisation,
        "count": count,
        "same": abs(damping - step.damping) <= 1e-4 * damping,
    }


def _compared(dimension: int, row: float, ours: dict[str, Any]) -> dict[str, Any]:
    hessian, solve = row * dimension, ours["factorisation"] * ours["count"]
    return {
        "ours": {
            "hessian_seconds": ours["hessian"],
            "solve_seconds": ours["solve"],
            "krylov": ours["krylov"],
            "products": ours["products"],
        },
        "published": {
            "row_seconds": row,
            "factorisation_seconds": ours["factorisation"],
            "factorisations": ours["count"],
        },
        "same_damping": ours["same"],
        "published_over_ours": (hessian + solve) / (ours["hessian"] + ours["solve"]),
        "published_over_krylov": (hessian + solve) / (ours["hessian"] + ours["krylov"]["seconds"]),
        "published_over_ours_hessian": hessian / ours["hessian"],
        "published_over_ours_solve": solve / ours["solve"],
    }


def _matrix(risk: EmpiricalRisk, kind: Kind) -> tuple[Any, Tensor]:
    curvature = risk.linearise(risk.start, curvature=kind, memory_budget=0)
    _ = curvature.gradient  # a step needs it too
    return curvature, curvature.dense()


def _row_seconds(model: nn.Module, inputs: Tensor, labels: Tensor, rows: Tensor) -> float:
    """Of `rows` of the Hessian, each by a backward pass of its entry of the gradient."""
    parameters = list(model.parameters())
    loss = functional.cross_entropy(model(inputs), labels)
    grads = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in grads])
    return _timed(
        lambda: [torch.autograd.grad(flat[row], parameters, retain_graph=True) for row in rows]
    )[0]


def _factorise(matrix: Tensor, gradient: Tensor, shift: float) -> None:
    damped = matrix.clone()
    damped.diagonal().add_(shift)
    torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(damped))


def _bisection(whole: EigenFactorisation, shift: float) -> tuple[int, float]:
    """How many factorisations a bisection needs, its gamma; followed with the eigenvalues."""
    values, parts = torch.from_numpy(whole.eigenvalues), torch.from_numpy(whole.coefficients)
    low, high = max(0.0, -float(values[0])), shift + float(parts.norm()) * _PENALTY
    count = 0
    while high - low > _TOLERANCE * high:
        middle = 0.5 * (low + high)
        if float((parts / (values + middle)).norm()) > 2.0 * middle / _PENALTY:
            low = middle
        else:
            high = middle
        count += 1
    return count, high


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    made = work()
    return time.process_time() - start, made
