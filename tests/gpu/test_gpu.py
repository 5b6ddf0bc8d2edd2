"""What only a graphics card shows: its kernels, its generators, its memory. Skipped without one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu import AnchoredRisk, EmpiricalRisk, unlearn
from curenu.cost import clock
from curenu.operators import kronecker_metric, random_direction
from tests.gpu import problems
from tests.methods.short_form import BY_NAME, short_form
from tests.problems import generator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="no graphics card here: torch.cuda.is_available() is false",
    ),
]

FORGET = list(range(0, 900, 18))
KINDS: dict[str, Callable[[], tuple[nn.Module, TensorDataset]]] = {
    "mlp": problems.mlp,
    "cnn": problems.cnn,
    "lstm": lambda: problems.recurrent(nn.LSTM),
    "gru": lambda: problems.recurrent(nn.GRU),
    "attention": problems.attention,
}


@pytest.fixture(autouse=True)
def _settings_stay() -> Iterator[None]:
    matmul, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32 = matmul
    torch.backends.cudnn.allow_tf32 = convolutions


def erased(model: nn.Module, data: TensorDataset, **arguments: Any) -> Any:
    given: dict[str, Any] = {"loss": "cross_entropy", "forget": FORGET, "weight_decay": 1e-3}
    return unlearn(model, data, **{**given, **arguments})


def on_card(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).cuda()


def gap(found: Tensor, wanted: Tensor) -> float:
    return float((found.cpu().double() - wanted.double()).norm() / wanted.double().norm())


def change(result: Any, model: nn.Module) -> Tensor:
    start = result.parameters.flatten(dict(model.named_parameters()))
    return (result.theta - start).cpu()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_default_erasure_is_the_processors(kind: str, dtype: torch.dtype) -> None:
    model, data = KINDS[kind]()
    if dtype == torch.float64:
        model, data = model.double(), problems.doubled(data)
    alone = erased(model, data)
    placed = on_card(model)
    found = erased(placed, data)
    assert found.theta.is_cuda
    assert all(tensor.is_cuda for tensor in found.model.state_dict().values())
    assert found.notes == alone.notes
    assert gap(found.theta, alone.theta) <= 1e-3
    if dtype == torch.float64:
        assert gap(change(found, placed), change(alone, model)) <= 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_values_gradients_and_products_are_the_processors(kind: str) -> None:
    model, data = KINDS[kind]()
    here = EmpiricalRisk(model.double(), problems.doubled(data), "cross_entropy")
    there = EmpiricalRisk(on_card(model), problems.doubled(data), "cross_entropy")
    v = random_direction(here.start, generator())
    for risk_of in (lambda risk: risk, _anchored):
        one, two = risk_of(here), risk_of(there)
        theta = one.parameters.flatten(dict(model.named_parameters())) + 1e-2 * v
        moved, along = theta.cuda(), v.cuda()
        assert float(two.value(moved)) == pytest.approx(float(one.value(theta)), rel=1e-9)
        assert gap(two.gradient(moved), one.gradient(theta)) <= 1e-8
        assert gap(two.hvp(moved, along), one.hvp(theta, v)) <= 1e-7
        newton = [r.linearise(t, curvature="gauss_newton") for r, t in ((two, moved), (one, theta))]
        assert gap(newton[0] @ along, newton[1] @ v) <= 1e-7


def _anchored(risk: EmpiricalRisk) -> AnchoredRisk:
    return AnchoredRisk(*risk.split(FORGET), risk.start, limit=0.01)


@pytest.mark.parametrize("kind", ["lstm", "gru", "attention"])
def test_recurrent_and_attending_networks_are_erased_from_in_eval_mode(kind: str) -> None:
    model, data = KINDS[kind]()
    found = erased(on_card(model), data)
    assert found.theta.isfinite().all()
    assert float(change(found, model.cuda()).norm()) > 0.0
    assert torch.backends.cudnn.enabled


def test_a_bfloat16_model_is_erased_from_in_float32() -> None:
    model, data = problems.mlp()
    alone = erased(copy.deepcopy(model).bfloat16(), data)
    found = erased(on_card(model).bfloat16(), data)
    assert found.theta.dtype == torch.float32
    assert next(found.model.parameters()).dtype == torch.bfloat16
    assert gap(found.theta, alone.theta) <= 1e-3


def test_products_in_bfloat16_are_near_those_in_float32() -> None:
    model, data = problems.cnn()
    risk = EmpiricalRisk(on_card(model), data, "cross_entropy", product_dtype=torch.bfloat16)
    v = random_direction(risk.start, generator())
    lower, full = (
        risk.linearise(risk.start, curvature="gauss_newton", full_precision=full) @ v
        for full in (False, True)
    )
    assert 0.0 < gap(lower, full.cpu()) <= 0.1
    assert erased(on_card(model), data, product_dtype=torch.bfloat16).theta.isfinite().all()


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_tf32_switched_on_changes_nothing(kind: str) -> None:
    model, data = KINDS[kind]()
    found = []
    for switched in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = switched
        torch.backends.cudnn.allow_tf32 = switched
        found.append(erased(on_card(model), data).theta)
        assert torch.backends.cuda.matmul.allow_tf32 == switched
        assert torch.backends.cudnn.allow_tf32 == switched
    assert torch.equal(*found)


def test_tf32_switched_on_by_its_newer_name_changes_nothing() -> None:
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this version of torch has no newer name")
    model, data = problems.cnn()
    usual = erased(on_card(model), data).theta
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32"
        assert torch.equal(erased(on_card(model), data).theta, usual)
        assert all(place.fp32_precision == "tf32" for place in places)
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


def test_data_may_be_on_either_device() -> None:
    model, data = problems.cnn()
    results = [erased(on_card(model), some).theta for some in (data, problems.to("cuda", data))]
    assert torch.equal(*results)
    asked = torch.tensor(FORGET, device="cuda")
    assert torch.equal(erased(on_card(model), data, forget=asked).theta, results[0])


def test_class_weights_and_weights_of_examples_may_be_on_the_processor() -> None:
    model, data = problems.mlp()
    loss = nn.CrossEntropyLoss(torch.tensor([0.5, 1.0, 2.0, 1.0]))
    weights = torch.linspace(0.5, 1.5, problems.COUNT)
    alone = erased(model, data, loss=loss, weights=weights)
    found = erased(on_card(model), data, loss=loss, weights=weights)
    assert gap(found.theta, alone.theta) <= 1e-3


def test_the_peak_of_the_cards_memory_is_reported() -> None:
    model, data = problems.cnn()
    found = erased(on_card(model), data)
    assert found.cost.device_peak_bytes >= 4 * len(found.theta)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "attention"])
def test_the_same_seed_gives_the_same_bits(kind: str) -> None:
    model, data = KINDS[kind]()
    for seed in range(3):
        first, second = (erased(on_card(model), data, seed=seed).theta for _ in range(2))
        assert torch.equal(first, second), seed


def test_the_metric_is_the_processors() -> None:
    model, data = problems.cnn()
    roots = []
    for placed in (model, on_card(model)):
        risk = EmpiricalRisk(placed, data, "cross_entropy")
        try:
            metric = kronecker_metric(risk, risk.start, generator())
        except Exception as error:
            if "curvlinops" in str(error):
                pytest.skip(str(error))
            raise
        roots.append(metric.root(torch.linspace(-1, 1, risk.dimension).to(risk.start)))
    assert gap(roots[1], roots[0].cpu()) <= 1e-2  # one label in 900 that falls the other way


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_products_go_by_forward_mode(kind: str, curvature: Any) -> None:
    model, data = KINDS[kind]()
    risk = EmpiricalRisk(on_card(model), data, "cross_entropy")
    risk.linearise(risk.start, curvature=curvature, memory_budget=0)
    assert risk.source.measured["forward mode", curvature]


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "stocurenu"])
def test_every_method_runs_on_the_card(name: str) -> None:
    model, data = problems.mlp()
    found = erased(on_card(model), data, method=short_form(name))
    assert found.theta.is_cuda
    assert found.theta.isfinite().all()


def test_a_plain_function_with_dropout_repeats() -> None:
    model, data = problems.mlp()
    dropping = nn.Sequential(nn.Dropout(0.5), *on_card(model))

    def unlearning(net: Any, retain: Any, forget: Any, validation: Any) -> Any:
        rule = torch.optim.SGD(net.parameters(), lr=0.1)
        for x, y in retain:
            rule.zero_grad()
            nn.functional.cross_entropy(net(x.cuda()), y.cuda()).backward()
            rule.step()
        return net

    first, second = (erased(dropping, data, method=unlearning).theta for _ in range(2))
    assert torch.equal(first, second)


def test_a_clock_waits_for_the_card() -> None:
    big = torch.randn(6000, 6000, device="cuda")
    clock()
    start = clock()
    for _ in range(20):
        big @ big
    asked = torch.cuda.Event()
    asked.record()
    end = clock()
    assert asked.query()
    assert end > start
