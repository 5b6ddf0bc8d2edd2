"""The empirical Fisher's diagonal against a loop over single examples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from curenu.errors import IllPosed, UnsupportedModel
from curenu.risks import EmpiricalRisk, squared_gradients
from tests.problems import PROBLEMS, Problem, generator


def risk_of(problem: Problem, micro_batch_size: int | None = None) -> EmpiricalRisk:
    return EmpiricalRisk(
        problem.model,
        problem.dataset,
        problem.loss,
        weight_decay=0.5,
        micro_batch_size=micro_batch_size or problem.micro_batch_size,
    )


def looped(problem: Problem, risk: EmpiricalRisk) -> Tensor:
    """One example a time, forward and backward through the module itself."""
    model = problem.model.eval()
    moving = [p for p in model.parameters() if p.requires_grad]
    loss = nn.MSELoss() if problem.loss == "mse" else nn.CrossEntropyLoss()
    total = torch.zeros_like(risk.start)
    for index in risk.ids.tolist():
        x, y = problem.dataset[index]
        gradient = torch.autograd.grad(loss(model(x[None]), y[None]), moving)
        total += torch.cat([piece.flatten() for piece in gradient]).square()
    return total / risk.size


@pytest.mark.parametrize(
    "name", ["mlp", "regression", "cnn", "batch_norm", "tied", "attention", "dead_relu"]
)
def test_squared_gradients_equal_a_loop_over_single_examples(name: str) -> None:
    problem = PROBLEMS[name]()
    risk = risk_of(problem).subset([0, 2, 3, 4, 6, 7])
    expected = looped(problem, risk)
    assert expected.any()
    torch.testing.assert_close(
        squared_gradients(risk, risk.start), expected, rtol=1e-10, atol=1e-16
    )


@pytest.mark.parametrize("name", ["cnn", "attention"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_squared_gradients_do_not_depend_on_the_batch_size(name: str, size: int) -> None:
    problem = PROBLEMS[name]()
    risk, other = risk_of(problem), risk_of(problem, size)
    torch.testing.assert_close(
        squared_gradients(other, risk.start), squared_gradients(risk, risk.start)
    )


def test_squared_gradients_are_not_the_squared_mean_gradient() -> None:
    risk = risk_of(PROBLEMS["mlp"]())
    mean = risk.gradient(risk.start) - risk.weight_decay * risk.start
    squares = squared_gradients(risk, risk.start)
    assert (squares >= mean.square()).all()
    assert squares.sum() > 2 * mean.square().sum()


def test_squared_gradients_move_with_theta_and_count_each_example_once() -> None:
    risk = risk_of(PROBLEMS["mlp"]())
    elsewhere = risk.start + torch.randn(risk.dimension, generator=generator()).double()
    with risk.meter.measure() as spent:
        moved = squared_gradients(risk, elsewhere)
    assert (spent().examples, spent().gradients) == (risk.size, 1)
    assert not torch.allclose(moved, squared_gradients(risk, risk.start))


def test_squared_gradients_name_the_example_that_is_broken() -> None:
    problem = PROBLEMS["mlp"]()
    risk = risk_of(problem)
    problem.dataset.tensors[0][11, 2] = float("nan")  # type: ignore[attr-defined]
    with pytest.raises(IllPosed, match="example 11"):
        squared_gradients(risk, risk.start)


def test_squared_gradients_refuse_mappings() -> None:
    risk = risk_of(PROBLEMS["mapping"]())
    with pytest.raises(UnsupportedModel, match="single examples"):
        squared_gradients(risk, risk.start)
