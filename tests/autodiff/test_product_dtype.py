"""Products in lower precision: near the full ones, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.autodiff import Kind
from curenu.errors import UnsupportedModel
from curenu.risks import AnchoredRisk, EmpiricalRisk, combined
from tests.autodiff.test_micro_batch import Cubed, Through
from tests.problems import PROBLEMS, classes, generator, inputs

NAMES = ("mlp", "regression", "cnn", "batch_norm", "tied", "attention", "mapping")
CASES = [
    (name, kind)
    for name in NAMES
    for kind in ("hessian", "gauss_newton")
    if (name, kind) != ("mapping", "gauss_newton")
]
CLOSE = 4 * 2.0**-8  # bfloat16 has eight bits


def risk_of(name: str, dtype: torch.dtype | None, **changes: Any) -> EmpiricalRisk:
    problem = PROBLEMS[name]()
    data = problem.dataset
    if isinstance(data, TensorDataset):
        data = TensorDataset(*(t.float() if t.is_floating_point() else t for t in data.tensors))
    arguments = {
        "weight_decay": problem.weight_decay,
        "micro_batch_size": problem.micro_batch_size,
    } | changes
    return EmpiricalRisk(
        problem.model.float(), data, problem.loss, product_dtype=dtype, **arguments
    )


def pair(name: str, anchored: bool) -> tuple[Any, Any]:
    """The same objective with products in bfloat16 and in float32."""
    risks = [risk_of(name, dtype, weight_decay=0.0) for dtype in (torch.bfloat16, None)]
    if not anchored:
        return risks[0], risks[1]
    first, second = (AnchoredRisk(*risk.split([0, 3]), risk.start) for risk in risks)
    return first, second


def draw(size: int, seed: int = 0) -> Tensor:
    vector = torch.randn(size, generator=generator(seed))
    return vector / vector.norm()


def near(theta: Tensor) -> Tensor:
    return theta + 0.1 * draw(len(theta), 5)


def start_of(objective: Any) -> Tensor:
    return near(objective.start)


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_product_is_near_the_full_one_and_not_the_same(
    name: str, kind: Kind, anchored: bool
) -> None:
    lower, full = pair(name, anchored)
    theta, vector = start_of(full), draw(full.dimension)
    found, wanted = (o.linearise(theta, curvature=kind) @ vector for o in (lower, full))
    assert found.dtype == torch.float32
    assert 0.0 < float((found - wanted).norm()) <= CLOSE * float(wanted.norm())


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_everything_but_products_has_the_same_bits(name: str, kind: Kind, anchored: bool) -> None:
    lower, full = pair(name, anchored)
    theta, vector = start_of(full), draw(full.dimension)
    assert torch.equal(lower.value(theta), full.value(theta))
    assert torch.equal(lower.gradient(theta), full.gradient(theta))
    found, wanted = (o.linearise(theta, curvature=kind, memory_budget=0) for o in (lower, full))
    exact = lower.linearise(theta, curvature=kind, memory_budget=0, full_precision=True)
    assert torch.equal(exact @ vector, wanted @ vector)
    assert found.value == wanted.value
    assert torch.equal(found.gradient, wanted.gradient)
    assert torch.equal(found.dense(), wanted.dense())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_products_are_symmetric_within_their_error(name: str, kind: Kind) -> None:
    risk = risk_of(name, torch.bfloat16)
    curvature = risk.linearise(near(risk.start), curvature=kind)
    u, v = draw(risk.dimension, 1), draw(risk.dimension, 2)
    left, right = curvature @ u, curvature @ v
    gap = abs(float(torch.dot(v, left) - torch.dot(u, right)))
    assert gap <= CLOSE * float(max(left.norm(), right.norm()))


def through(middle: nn.Module, dtype: torch.dtype | None) -> EmpiricalRisk:
    model = nn.Sequential(nn.Linear(4, 5), middle, nn.Linear(5, 3))
    for place, parameter in enumerate(model.parameters()):
        nn.init.normal_(parameter, std=0.3, generator=generator(place))
    data = TensorDataset(inputs(30, 4).float(), classes(30, 3))
    return EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=7, product_dtype=dtype)


@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_models_without_a_forward_derivative_have_them_by_double_backward(kind: Kind) -> None:
    lower, full = (through(Through(Cubed), dtype) for dtype in (torch.bfloat16, None))
    vector = draw(full.dimension)
    found, wanted = (r.linearise(full.start, curvature=kind) @ vector for r in (lower, full))
    assert lower.source.measured["forward mode", torch.bfloat16] is False
    assert 0.0 < float((found - wanted).norm()) <= CLOSE * float(wanted.norm())


class Whole(nn.Module):
    """An operation that float32 numbers alone have."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise RuntimeError(f"no kernel for {x.dtype}")
        return x.tanh()


@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_an_operation_that_lower_precision_lacks_is_refused_by_name(kind: Kind) -> None:
    risk = through(Whole(), torch.bfloat16)
    curvature = risk.linearise(risk.start, curvature=kind)
    with pytest.raises(UnsupportedModel, match=r"no kernel for torch\.bfloat16.*product_dtype"):
        curvature @ risk.start


@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_a_small_weight_does_not_underflow_in_float16(kind: Kind) -> None:
    """Each of a hundred million examples weighs 1e-8, which float16 does not have."""
    risk = through(nn.Tanh(), torch.float16)
    light = combined([(1e-8, risk, None)], weight_decay=0.0)
    vector = draw(risk.dimension)
    found = light.linearise(risk.start, curvature=kind) @ vector
    wanted = risk.linearise(risk.start, curvature=kind, full_precision=True) @ vector
    assert float((1e8 * found - wanted).norm()) <= 4 * 2.0**-11 * float(wanted.norm())


def test_no_graph_is_kept_between_products() -> None:
    risk = risk_of("mlp", torch.bfloat16)
    assert risk.linearise(risk.start).kept_graphs == 0
    assert risk.linearise(risk.start, full_precision=True).kept_graphs > 0
