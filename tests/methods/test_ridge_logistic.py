"""Ridge logistic regression: retraining has one answer, and Newton nearly hits it at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor

import curenu
from curenu.methods import (
    ConstrainedNewton,
    CuReNU,
    DampedNewton,
    LowRankNewton,
    PseudoInverseNewton,
    TrustRegionNewton,
)
from curenu.own_model import with_parameters
from tests.problems import Problem, logistic

SIZE, FORGET = 600, [3, 141, 59, 265, 358]
SERIES = ConstrainedNewton(
    runs=1, recursions=400, scale=0.5, damping=0.0, batch_size=SIZE, noise=0.0,
    without_guarantee=True,
)  # fmt: skip


def newton_step(x: np.ndarray, y: np.ndarray, decay: float, theta: np.ndarray) -> np.ndarray:
    """−H⁻¹g of the ridge multinomial log-loss, derivatives written out by hand."""
    weights = theta.reshape(3, -1)
    p = softmax(x @ weights.T, axis=1)
    gradient = ((p - np.eye(3)[y]).T @ x / len(x) + decay * weights).ravel()
    curvature = np.einsum("ni,ij->nij", p, np.eye(3)) - np.einsum("ni,nj->nij", p, p)
    size = theta.size
    hessian = np.einsum("nij,na,nb->iajb", curvature, x, x).reshape(size, size) / len(x)
    return -np.linalg.solve(hessian + decay * np.eye(size), gradient)


def minimise(x: np.ndarray, y: np.ndarray, decay: float) -> np.ndarray:
    theta = np.zeros(3 * x.shape[1])
    for _ in range(50):
        step = newton_step(x, y, decay, theta)
        theta = theta + step
    assert np.linalg.norm(step) < 1e-12
    return theta


@pytest.fixture(scope="module")
def trained() -> tuple[Problem, np.ndarray, np.ndarray, np.ndarray]:
    """The problem at its minimiser, and design, classes and minimiser in NumPy's order."""
    problem = logistic(SIZE)
    features, y = (t.numpy() for t in problem.dataset.tensors)  # type: ignore[attr-defined]
    x = np.hstack([features, np.ones((SIZE, 1))])
    optimum = minimise(x, y, problem.weight_decay)
    risk = curenu.EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    model = with_parameters(problem.model, risk.parameters, to_torch(optimum))
    return (
        Problem(model, problem.dataset, problem.loss, problem.weight_decay),
        x,
        y,
        optimum,
    )


def to_torch(theta: np.ndarray) -> Tensor:
    """Rows (w, b) of each class to torch's order: all weights, then all biases."""
    rows = theta.reshape(3, -1)
    return torch.from_numpy(np.concatenate([rows[:, :-1].ravel(), rows[:, -1]]))


def erase(trained, method) -> Tensor:
    problem = trained[0]
    result = curenu.unlearn(
        problem.model, problem.dataset, problem.loss, forget=FORGET, method=method,
        weight_decay=problem.weight_decay, training=curenu.TrainingTime(math.inf),
    )  # fmt: skip
    return result.theta


def test_the_oracle_minimises_what_the_objective_measures(trained) -> None:
    problem, x, y, optimum = trained
    risk = curenu.EmpiricalRisk(
        problem.model, problem.dataset, problem.loss, weight_decay=problem.weight_decay
    )
    expected = -log_softmax(x @ optimum.reshape(3, -1).T, axis=1)[np.arange(SIZE), y].mean()
    expected += 0.5 * problem.weight_decay * optimum @ optimum
    assert float(risk.value(risk.start)) == pytest.approx(expected, rel=1e-12)
    assert risk.gradient(risk.start).norm() < 1e-12


@pytest.mark.parametrize("solver", ["eigen", "lanczos"])
def test_one_step_with_a_tiny_penalty_is_the_newton_step(trained, solver: str) -> None:
    problem, x, y, optimum = trained
    kept = np.setdiff1d(np.arange(SIZE), FORGET)
    exact = to_torch(optimum + newton_step(x[kept], y[kept], problem.weight_decay, optimum))
    exhaustive = curenu.cubic.LanczosSolver(max_products=40, tolerance=0.0)
    chosen = exhaustive if solver == "lanczos" else solver
    theta = erase(trained, CuReNU(solver=chosen, penalty=1e-9, max_steps=1, tolerance=0.0))
    torch.testing.assert_close(theta, exact, rtol=1e-8, atol=1e-9)


def test_two_steps_reach_the_retrained_model(trained) -> None:
    problem, x, y, optimum = trained
    kept = np.setdiff1d(np.arange(SIZE), FORGET)
    oracle = to_torch(minimise(x[kept], y[kept], problem.weight_decay))
    theta = erase(trained, CuReNU(solver="eigen", penalty=1e-9, max_steps=2, tolerance=0.0))
    moved = torch.linalg.vector_norm(oracle - to_torch(optimum))
    assert moved > 1e-3
    assert torch.linalg.vector_norm(theta - oracle) < 1e-6 * torch.linalg.vector_norm(oracle)


def test_the_default_reaches_the_retrained_model(trained) -> None:
    problem, x, y, _ = trained
    kept = np.setdiff1d(np.arange(SIZE), FORGET)
    oracle = to_torch(minimise(x[kept], y[kept], problem.weight_decay))
    theta = erase(trained, CuReNU(max_steps=20, tolerance=1e-6))
    assert torch.linalg.vector_norm(theta - oracle) < 1e-6 * torch.linalg.vector_norm(oracle)


CASES = [
    ("curenu", 300),
    ("stocurenu", 300),
    ("curenu", 3000),
    ("stocurenu", 1500),
    ("stocurenu", 6000),
]


@pytest.mark.parametrize(("method", "size"), CASES)
@pytest.mark.parametrize("gone", ["one", "a tenth", "a class"])
def test_nothing_said_about_time_the_way_is_gone_to_its_end(
    method: str, size: int, gone: str
) -> None:
    """Its gradient says that the model has converged."""
    problem = logistic(size)
    features, y = (t.numpy() for t in problem.dataset.tensors)  # type: ignore[attr-defined]
    x = np.hstack([features, np.ones((size, 1))])
    optimum = minimise(x, y, problem.weight_decay)
    forget = {
        "one": np.array([3]),
        "a tenth": np.arange(0, size, 10),
        "a class": np.flatnonzero(y == 1),
    }[gone]
    kept = np.setdiff1d(np.arange(size), forget)
    oracle = to_torch(minimise(x[kept], y[kept], problem.weight_decay))
    risk = curenu.EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    result = curenu.unlearn(
        with_parameters(problem.model, risk.parameters, to_torch(optimum)),
        problem.dataset,
        problem.loss,
        forget=forget.tolist(),
        method=method,
        weight_decay=problem.weight_decay,
    )
    left = torch.linalg.vector_norm(result.theta - oracle)
    assert left <= 0.02 * torch.linalg.vector_norm(to_torch(optimum) - oracle)
    assert "training time not given: converged, by its gradient" in result.erasure.notes


ALL = 18  # parameters: a Krylov space of as many products is all of it
EXACT: list[tuple[Any, float]] = [
    (PseudoInverseNewton(), 1e-8),
    (PseudoInverseNewton(max_products=ALL), 1e-8),
    (DampedNewton(damping=1e-12), 1e-8),
    (DampedNewton(damping=1e-12, max_products=ALL), 1e-8),
    (DampedNewton(damping=1e-3), 0.1),  # at most damping/(decay + damping) of the step
    (LowRankNewton(share=1.0, max_products=None), 1e-8),
    (LowRankNewton(share=1.0, max_products=ALL), 1e-8),
    (TrustRegionNewton(radius=1e3, max_steps=1, max_products=None), 1e-8),
    (TrustRegionNewton(radius=1e3, max_steps=1, max_products=ALL), 1e-8),
    (SERIES, (1.0 - 0.01 / 0.5) ** 401),  # (1 − h/scale)^(s2 + 1), the decay being the least h
    (CuReNU(objective="retain", solver="eigen", penalty=1e-9, max_steps=1, tolerance=0.0), 1e-8),
    (CuReNU(solver="eigen", penalty=1e-9, max_steps=1, tolerance=0.0), 1e-8),
    (CuReNU.paper(1e-9, max_steps=1), 1e-8),
]


@pytest.mark.parametrize(("method", "share"), EXACT, ids=lambda each: type(each).__name__)
def test_methods_that_should_take_the_exact_newton_step_do_to_their_accuracy(
    trained, method, share: float
) -> None:
    """`share` is how much of the step's length a method may miss by its own account."""
    problem, x, y, optimum = trained
    kept = np.setdiff1d(np.arange(SIZE), FORGET)
    step = to_torch(newton_step(x[kept], y[kept], problem.weight_decay, optimum))
    missed = torch.linalg.vector_norm(erase(trained, method) - to_torch(optimum) - step)
    assert float(missed) <= share * float(torch.linalg.vector_norm(step))


def test_two_trust_region_steps_reach_the_retrained_model(trained) -> None:
    problem, x, y, _ = trained
    kept = np.setdiff1d(np.arange(SIZE), FORGET)
    oracle = to_torch(minimise(x[kept], y[kept], problem.weight_decay))
    method = TrustRegionNewton(max_steps=2, max_products=None, tolerance=0.0)
    theta = erase(trained, method)
    assert torch.linalg.vector_norm(theta - oracle) < 1e-6 * torch.linalg.vector_norm(oracle)


def test_erasing_nothing_at_a_stationary_point_moves_nothing(trained) -> None:
    problem, _, _, optimum = trained
    risk = curenu.EmpiricalRisk(
        problem.model, problem.dataset, problem.loss, weight_decay=problem.weight_decay
    )
    unchanged = curenu.ErasureProblem(risk.start, risk, risk.subset([0]))
    method = CuReNU(objective="retain", solver="eigen")
    result = method(unchanged, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(result.theta, to_torch(optimum), rtol=0, atol=1e-10)
