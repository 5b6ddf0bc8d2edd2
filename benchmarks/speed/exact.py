"""One exact CuReNU step against the published way of taking it.

The published way: the Hessian row by row, one backward pass over all images each, then a
Cholesky factorisation of H + gamma I for every gamma that a bisection on
|s(gamma)| = 2 gamma / M tries. Its rows are timed on a few and multiplied, its factorisations
on one and multiplied by the number the bisection needs.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from race import images
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, EigenSolver
from curenu.objective import EmpiricalRisk

__all__ = ["measure"]

_ROWS = 20
_TOLERANCE = 1e-6  # of gamma, relative, where the bisection ends


def measure(*, smoke: bool) -> dict[str, Any]:
    size, width = (1000, 1) if smoke else (10_000, 6)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 10))
    inputs, labels = images(size)
    data = TensorDataset(inputs, labels)
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=1000)
    theta = risk.start
    start = time.perf_counter()
    curvature = risk.linearise(theta, memory_budget=0)
    matrix = curvature.dense()
    dense = time.perf_counter() - start
    problem = CubicModel(curvature.gradient, matrix, 1.0)
    start = time.perf_counter()
    step = EigenSolver(memory_budget=2**34)(problem)
    solved = time.perf_counter() - start
    row = _row_seconds(model, inputs, labels)
    factorisation, count, damping = _cholesky(matrix, problem.gradient.double(), 1.0)
    published = row * len(theta) + factorisation * count
    return {
        "parameters": len(theta),
        "examples": size,
        "ours": {"hessian_seconds": dense, "solve_seconds": solved},
        "published": {
            "row_seconds": row,
            "factorisation_seconds": factorisation,
            "factorisations": count,
        },
        "same_damping": abs(damping - step.damping) <= 1e-4 * damping,
        "published_over_ours": published / (dense + solved),
        "published_over_ours_hessian": row * len(theta) / dense,
        "published_over_ours_solve": factorisation * count / solved,
    }


def _row_seconds(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    parameters = list(model.parameters())
    loss = functional.cross_entropy(model(inputs), labels)
    grads = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in grads])
    rows = torch.linspace(0, len(flat) - 1, _ROWS).long().tolist()
    start = time.perf_counter()
    for row in rows:
        torch.autograd.grad(flat[row], parameters, retain_graph=True)
    return (time.perf_counter() - start) / _ROWS


def _cholesky(matrix: Tensor, gradient: Tensor, penalty: float) -> tuple[float, int, float]:
    """Seconds of one factorisation and solve, how many a bisection needs, its gamma.

    The bisection itself is followed with eigenvalues, where a trial costs nothing.
    """
    identity = torch.eye(len(matrix), dtype=matrix.dtype)
    shift = float(torch.linalg.matrix_norm(matrix, float("inf")))
    start = time.perf_counter()
    factor = torch.linalg.cholesky(matrix + shift * identity)
    torch.cholesky_solve(gradient[:, None], factor)
    seconds = time.perf_counter() - start
    values, vectors = torch.linalg.eigh(matrix)
    parts = vectors.mT @ gradient
    low, high = max(0.0, -float(values[0])), shift + float(gradient.norm()) * penalty
    count = 0
    while high - low > _TOLERANCE * high:
        middle = 0.5 * (low + high)
        if float((parts / (values + middle)).norm()) > 2.0 * middle / penalty:
            low = middle
        else:
            high = middle
        count += 1
    return seconds, count, high
