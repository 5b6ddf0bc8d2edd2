"""The curvature penalty: exact on a quadratic, its gradient by differentiation, its refusals."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from curenu.continual import CurvaturePenalty
from curenu.errors import BadRequest, MissingData
from curenu.risks import EmpiricalRisk
from curenu.tasks.fashion_mnist import find_fashion_mnist
from tests.methods.dense import hessian_of, loss_of
from tests.problems import PROBLEMS, generator, inputs

ROOT = Path(__file__).parents[1]


def risk_of(name: str, decay: float = 0.05) -> EmpiricalRisk:
    given = PROBLEMS[name]()
    return EmpiricalRisk(given.model, given.dataset, given.loss, weight_decay=decay)


def linear() -> tuple[EmpiricalRisk, Tensor, Tensor]:
    """A linear model under the squared error at its minimum: the loss is a quadratic."""
    x, y = inputs(20, 4), inputs(20, 1, seed=3)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.mT)
    data = torch.utils.data.TensorDataset(x, y)
    return EmpiricalRisk(model, data, "mse"), x, y


def test_along_the_direction_it_is_what_a_quadratic_loss_rises_by() -> None:
    risk, x, y = linear()
    penalty = CurvaturePenalty(risk)
    way = torch.randn(4, generator=generator(), dtype=torch.float64)
    penalty.turn(-3.0 * way)
    for share in (-2.0, 0.1, 5.0):
        theta = risk.start + share * way
        rise = (x @ theta[:, None] - y).square().mean() - (
            x @ risk.start[:, None] - y
        ).square().mean()
        torch.testing.assert_close(penalty.value(theta), rise, rtol=1e-9, atol=1e-12)


def test_the_curvature_is_that_of_the_dense_hessian_and_never_rewards() -> None:
    risk, given = risk_of("mlp"), PROBLEMS["mlp"]()
    every = torch.arange(17)
    hessian = hessian_of(loss_of(given, every, 0.05), risk.start)
    values, vectors = torch.linalg.eigh(hessian)
    assert values[0] < 0
    penalty = CurvaturePenalty(risk)
    assert penalty.turn(2.0 * vectors[:, 0]) == pytest.approx(float(values[0]), rel=1e-8)
    assert penalty.value(risk.start + vectors[:, 0]) == 0.0
    assert penalty.turn(vectors[:, -1]) == pytest.approx(float(values[-1]), rel=1e-8)


def test_the_gradient_and_the_loss_of_a_model_are_those_of_the_value() -> None:
    risk = risk_of("mlp")
    penalty = CurvaturePenalty(risk, strength=3.0, floor=0.2)
    penalty.turn(torch.randn(len(risk.start), generator=generator(), dtype=torch.float64))
    theta = risk.start + 0.1 * torch.randn(
        len(risk.start), generator=generator(1), dtype=torch.float64
    )
    model = risk.module_at(theta)
    loss = penalty.loss(model)
    torch.testing.assert_close(loss, penalty.value(theta))
    loss.backward()
    made = risk.parameters.flatten({name: p.grad for name, p in model.named_parameters()})  # type: ignore[misc]
    torch.testing.assert_close(made, penalty.gradient(theta), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        torch.func.grad(penalty.value)(theta), penalty.gradient(theta), rtol=1e-10, atol=1e-12
    )


def test_what_cannot_be_meant_is_refused() -> None:
    risk = risk_of("mlp")
    with pytest.raises(BadRequest, match="turn"):
        CurvaturePenalty(risk).value(risk.start)
    with pytest.raises(BadRequest, match="length"):
        CurvaturePenalty(risk).turn(torch.zeros_like(risk.start))
    with pytest.raises(BadRequest, match="strength"):
        CurvaturePenalty(risk, strength=-1.0)
    penalty = CurvaturePenalty(risk)
    penalty.turn(risk.start)
    with pytest.raises(BadRequest, match="Parameters missing"):
        penalty.loss(nn.Linear(2, 2))


def test_the_example_of_two_tasks_keeps_the_first_and_erases_from_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        find_fashion_mnist()
    except MissingData as error:
        pytest.skip(str(error))
    found = runpy.run_path(str(ROOT / "examples/two_tasks.py"))["main"]()
    assert "penalty" in capsys.readouterr().out
    plain, held, erased = found["plain"], found["penalty"], found["erased"]
    assert held["first"] > plain["first"] + 0.05
    assert erased["second"] > held["second"] - 0.05
    assert erased["forget loss"] > 1.5 * held["forget loss"]


def test_the_example_of_an_implicit_gradient_agrees_with_finite_differences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    implicit, difference = runpy.run_path(str(ROOT / "examples/implicit_gradient.py"))["main"]()
    assert implicit == pytest.approx(difference, rel=1e-4)
    assert "finite difference" in capsys.readouterr().out
