"""KFADE on a model that is linear with Gaussian noise, where all it claims is exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.errors import UnsupportedModel
from curenu.methods import KFADE
from curenu.operators import kronecker_metric
from tests.methods.dense import hessian_of, loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, Problem, generator, initialised, inputs

SIZE = 400


def linear_gaussian() -> Problem:
    """One output: its output factor is a number, so K-FAC is the matrix but for that number."""
    model = initialised(lambda: nn.Linear(4, 1))
    mixed = inputs(SIZE, 4) @ inputs(4, 4, seed=9)
    return Problem(model, TensorDataset(mixed, inputs(SIZE, 1, seed=3)), "mse")


def test_a_step_gains_most_of_all_that_change_the_retained_outputs_as_much() -> None:
    given = linear_gaussian()
    problem = problem_of(given, weight_decay=0.0, micro_batch_size=SIZE)
    start = problem.start
    matrix = hessian_of(loss_of(given, problem.retain.ids), start)  # of the divergence, too
    gradient = torch.func.grad(loss_of(given, problem.forget.ids))(start)
    method = KFADE(step_size=0.3, steps=1, damping=1e-9)
    erasure = method(problem, generator=generator())
    step = erasure.theta - start
    best = torch.linalg.solve(matrix, gradient)
    torch.testing.assert_close(step / step.norm(), best / best.norm(), rtol=1e-6, atol=1e-7)
    # labels are drawn: the output factor is a mean of squares of as many normal numbers
    scale = float(step.norm() / (0.3 * best.norm()))
    assert abs(scale - 1) < 4 * (2 / problem.retain.size) ** 0.5

    def divergence(move: torch.Tensor) -> float:
        x = given.dataset.tensors[0][problem.retain.ids]  # type: ignore[attr-defined]
        return float((x @ move[:4] + move[4]).square().mean())

    spent = divergence(step)
    assert spent == pytest.approx(float(0.5 * step @ matrix @ step), rel=1e-9)
    for other in inputs(200, 5, seed=11):
        as_far = other * (spent / divergence(other)) ** 0.5
        assert gradient @ as_far <= gradient @ step * (1 + 1e-9)
    predicted = 0.5 * float(erasure.trace[0].step_norm or 0.0) ** 2
    assert predicted == pytest.approx(spent / scale, rel=1e-6)


def test_the_step_is_uphill_as_the_algorithm_says_and_not_as_its_equation() -> None:
    problem, given = problem_of("mlp"), PROBLEMS["mlp"]()
    forgotten, kept = (loss_of(given, risk.ids) for risk in (problem.forget, problem.retain))
    theta = KFADE(step_size=0.05, steps=1)(problem, generator=generator()).theta
    rise = forgotten(theta) - forgotten(problem.start)
    assert rise > 0
    assert abs(kept(theta) - kept(problem.start)) < rise


def test_every_step_has_the_factors_and_the_gradient_of_where_it_is() -> None:
    problem, given = problem_of("mlp", weight_decay=0.2), PROBLEMS["mlp"]()
    slope = torch.func.grad(loss_of(given, problem.forget.ids))
    theta, stream = problem.start, generator(5)
    eye = torch.eye(len(theta), dtype=torch.float64)
    for _ in range(2):
        sample = problem.retain.sample(8, stream)
        metric = kronecker_metric(sample, theta, stream, damping=0.5)
        root = torch.stack([metric.root(row) for row in eye])
        theta = theta + 0.1 * root @ root @ slope(theta)
    method = KFADE(step_size=0.1, steps=2, damping=0.5, sample_size=8)
    erasure = method(problem, generator=generator(5))
    torch.testing.assert_close(erasure.theta, theta, rtol=1e-9, atol=1e-12)
    assert len(erasure.trace) == 2


def test_a_model_without_factors_is_refused_with_another_method() -> None:
    with pytest.raises(UnsupportedModel, match="K-FAC needs") as refused:
        KFADE()(problem_of("tied"), generator=generator())
    assert "FisherRemoval" in refused.value.remedy


def test_factors_that_do_not_fit_are_refused_with_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sides 6 and 5, then 3 and 7: three times 8 bytes of 36 + 25 + 9 + 49 numbers."""
    monkeypatch.setattr("curenu.operators.metric.available_memory", lambda device: 24 * 119 - 1)
    with pytest.raises(UnsupportedModel, match="largest of side 7, take .* GiB"):
        KFADE()(problem_of("mlp"), generator=generator())
    monkeypatch.setattr("curenu.operators.metric.available_memory", lambda device: 24 * 119)
    KFADE(steps=1)(problem_of("mlp"), generator=generator())
