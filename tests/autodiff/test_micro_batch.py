"""Products by forward mode: what double backward gives, where forward mode exists."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import TensorDataset

from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import generator


class Cubed(torch.autograd.Function):
    """x³, twice differentiable backwards; there is no forward derivative."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3.0 * x**2 * grads[0]


class Lying(Cubed):
    """The same with a forward derivative that is wrong."""

    @staticmethod
    def jvp(ctx, *tangents: Tensor) -> Tensor:
        return 7.0 * tangents[0]


class Through(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(x)


def problem(middle: nn.Module, count: int = 30) -> EmpiricalRisk:
    draw = generator()
    model = nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 3)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=draw)
    x = torch.randn(count, 4, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (count,), generator=draw)
    return EmpiricalRisk(model, TensorDataset(x, y), "cross_entropy", micro_batch_size=7)


def dense(risk: EmpiricalRisk, middle: nn.Module) -> Tensor:
    """The Hessian by torch's own means."""
    x, y = risk.source.batch(risk.ids).content
    model = nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 3)).double()

    def loss(theta: Tensor) -> Tensor:
        outputs = functional_call(model, risk.parameters.unflatten(theta), (x,))
        return nn.functional.cross_entropy(outputs, y)

    return torch.autograd.functional.hessian(loss, risk.start)  # type: ignore[return-value]


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize(
    ("middle", "forwards"),
    [(nn.Tanh(), True), (Through(Cubed), False), (Through(Lying), False)],
    ids=["tanh", "no-jvp", "wrong-jvp"],
)
def test_the_product_is_right_with_and_without_forward_mode(middle, forwards, budget) -> None:
    risk = problem(middle)
    curvature = risk.linearise(risk.start, memory_budget=budget)
    wanted = dense(risk, middle)
    for vector in torch.eye(len(wanted), dtype=torch.float64)[::9]:
        assert torch.allclose(curvature @ vector, wanted @ vector, atol=1e-10)
    known = risk.source.measured
    compared = known.get(("forward mode", "hessian"), known.get(("forward mode", None)))
    assert compared is forwards


def test_gauss_newton_products_need_no_forward_derivative() -> None:
    middle = Through(Cubed)
    risk = problem(middle)
    curvature = risk.linearise(risk.start, curvature="gauss_newton")
    twin = problem(nn.Identity())
    cube = twin.source.evaluation.model
    cube[1].forward = lambda x: x**3  # type: ignore[index,method-assign]
    wanted = twin.linearise(risk.start, curvature="gauss_newton").dense()
    vector = torch.linspace(-1, 1, risk.dimension, dtype=torch.float64)
    assert torch.allclose(curvature @ vector, wanted @ vector, atol=1e-10)


def test_examples_without_curvature_are_passed_once_and_then_left_out() -> None:
    """The removal term is linear in the outputs: nothing for Gauss-Newton to bend."""
    risk = problem(nn.Tanh(), 60)
    retain, forget = risk.split(range(20))
    curvature = AnchoredRisk(retain, forget, risk.start).linearise(
        risk.start, curvature="gauss_newton", memory_budget=0
    )
    vector = torch.ones(risk.dimension, dtype=torch.float64)
    meter, counts = risk.meter, []
    products = []
    for _ in range(3):
        before = meter.examples
        products.append(curvature @ vector)
        counts.append(meter.examples - before)
    assert counts[1:] == [40, 40]
    assert counts[0] >= 60
    assert torch.equal(products[0], products[1])
    assert torch.allclose(products[0], curvature.dense() @ vector, atol=1e-10)


def test_the_graph_of_a_micro_batch_is_measured_once_per_model() -> None:
    risk = problem(nn.Tanh())
    risk.linearise(risk.start)
    known = dict(risk.source.measured)
    risk.sample(14, generator()).linearise(risk.start)
    assert risk.source.measured == known
    assert known["graph", 7] > 0
