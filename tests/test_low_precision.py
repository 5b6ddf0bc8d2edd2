"""Models in lower precision, adapted and wrapped ones: what moves, in which type, whose memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu import TrainingTime
from curenu.risks import EmpiricalRisk
from curenu.status import Status
from tests.problems import classes, generator, initialised, inputs

SIZE = 20
X, Y = inputs(SIZE, 4).float(), classes(SIZE, 3)


def net() -> nn.Module:
    """Trained, so that there is something to forget."""
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
    return model


def asked(model: nn.Module, **changes: Any) -> curenu.Unlearned:
    given: dict[str, Any] = {
        "loss": "cross_entropy",
        "forget": [1, 2, 7],
        "weight_decay": 1e-2,
        "training": TrainingTime(40.0),
    } | changes
    return curenu.unlearn(model, given.pop("dataset", TensorDataset(X, Y)), **given)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().float() for p in model.parameters()])


def each(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.float(), targets, reduction="none")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", ["cross_entropy", each])
@pytest.mark.parametrize("method", ["stocurenu", "curenu"])
def test_a_model_in_lower_precision_moves_as_in_float32(
    dtype: torch.dtype, loss: Any, method: str
) -> None:
    lower = net().to(dtype)
    single = copy.deepcopy(lower).float()
    wanted = asked(single, method=method, loss=loss).theta - flat(single)
    data = TensorDataset(X.to(dtype), Y)
    result = asked(lower, method=method, loss=loss, dataset=data)
    moved = result.theta - flat(lower)
    assert result.theta.dtype == torch.float32
    assert float(functional.cosine_similarity(moved, wanted, dim=0)) > 0.95
    assert {p.dtype for p in result.model.parameters()} == {dtype}
    assert {tensor.dtype for tensor in result.state_dict().values()} == {dtype}
    assert any(note.startswith(f"rounding to {str(dtype)[6:]} keeps") for note in result.notes)
    rounded = flat(result.model) - flat(lower)
    assert result.status.ok == (float(rounded @ moved / moved.square().sum()) >= 0.5)
    if result.status.ok:
        assert float(functional.cosine_similarity(rounded, wanted, dim=0)) > 0.9


def test_an_erasure_that_rounding_undid_is_not_ok() -> None:
    lower = net().bfloat16()
    result = asked(lower, training=TrainingTime(1e-3))
    assert 0.0 < float((result.theta - flat(lower)).norm()) < 1e-2
    assert result.status is Status.ROUNDED_AWAY
    assert not result.status.ok


def test_the_state_holds_what_moved_and_nothing_else() -> None:
    model = net()
    result = asked(model, only="2")
    assert result.state_dict().keys() == {"2.weight", "2.bias"}
    for name, tensor in result.state_dict().items():
        assert torch.equal(tensor, result.model.state_dict()[name])
    assert torch.equal(result.model.state_dict()["0.weight"], model.state_dict()["0.weight"])


def test_a_result_is_written_into_a_model_in_place() -> None:
    model = net()
    result = asked(model, only="2")
    other = copy.deepcopy(model)
    places = {name: p.data_ptr() for name, p in other.named_parameters()}
    assert result.apply_to(other) is other
    assert {name: p.data_ptr() for name, p in other.named_parameters()} == places
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert not torch.equal(other.state_dict()["2.bias"], model.state_dict()["2.bias"])


class Adapted(nn.Module):
    """A frozen base and a low-rank change of it that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(4, 3).requires_grad_(False)
        self.down, self.up = nn.Linear(4, 1, bias=False), nn.Linear(1, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


def test_a_frozen_base_is_not_copied() -> None:
    model = initialised(Adapted).float()
    risk = EmpiricalRisk(model, TensorDataset(X, Y), "cross_entropy")
    own = dict(risk.source.evaluation.model.named_parameters())
    for name, parameter in model.base.named_parameters():  # type: ignore[union-attr]
        assert own[f"base.{name}"].data_ptr() == parameter.data_ptr()
    result = asked(model)
    assert result.state_dict().keys() == {"down.weight", "up.weight"}
    assert torch.equal(result.model.base.weight, model.base.weight)  # type: ignore[union-attr]


class DistributedDataParallel(nn.Module):
    """Stands for torch's own, which needs several processes: known by its name."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@pytest.mark.parametrize(
    "wrap",
    [
        DistributedDataParallel,
        nn.DataParallel,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: nn.DataParallel(DistributedDataParallel(model)),
    ],
    ids=["distributed", "parallel", "compiled", "both"],
)
def test_wrapped_models_are_unwrapped(wrap: Any) -> None:
    wanted = asked(net())
    wrapped = wrap(net())
    result = asked(wrapped)
    assert torch.equal(result.theta, wanted.theta)
    assert result.state_dict().keys() == wanted.state_dict().keys()
    assert type(result.model) is nn.Sequential
    result.apply_to(wrapped)
    inner = getattr(wrapped, "module", None) or wrapped._orig_mod
    inner = getattr(inner, "module", inner)
    assert torch.equal(flat(inner), wanted.theta)


def test_weights_in_lower_precision_are_those_that_float32_holds() -> None:
    """The same weights in float32 and bfloat16 give the same private copy."""
    lower = net().bfloat16()
    risks = [
        EmpiricalRisk(m, TensorDataset(X, Y), "cross_entropy")
        for m in (lower, copy.deepcopy(lower).float())
    ]
    assert torch.equal(risks[0].start, risks[1].start)
    vector = torch.randn(len(risks[0].start), generator=generator())
    assert torch.equal(risks[0].hvp(risks[0].start, vector), risks[1].hvp(risks[1].start, vector))
