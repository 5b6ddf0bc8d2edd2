"""Layers in several types, autocast inside a model, batch norms switched on in a forward pass."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu.errors import UnsupportedModel
from curenu.methods import KFADE, StoCuReNU
from curenu.operators import kronecker_metric
from curenu.risks import EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs

SIZE = 30
X, Y = inputs(SIZE, 4).float(), classes(SIZE, 3)
METHODS: list[Any] = ["stocurenu", "curenu", "fine-tune", "damped-newton", KFADE()]


class Two(nn.Module):
    """Two layers, each called in its own type."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.body(x.to(self.body.weight.dtype)))
        return self.head(hidden.to(self.head.weight.dtype))


class Autocast(Two):
    """Computes in bfloat16 by an autocast of its own."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Fixed(Two):
    """Casts to bfloat16 by name."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x.to(torch.bfloat16))).float())


def trained(kind: type[Two] = Two) -> Two:
    """Weights of a short training in float32, the same for each kind."""
    model = initialised(Two).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
    other = initialised(kind).float()
    other.load_state_dict(model.state_dict())
    return other  # type: ignore[return-value]


def moved(model: nn.Module, method: Any = "stocurenu", **changes: Any) -> Tensor:
    given = {"forget": [1, 2, 7], "weight_decay": 1e-2, "training": curenu.TrainingTime(30.0)}
    result = curenu.unlearn(
        model, TensorDataset(X, Y), "cross_entropy", method=method, **given | changes
    )
    assert {n: p.dtype for n, p in result.model.named_parameters()} == {
        n: p.dtype for n, p in model.named_parameters()
    }
    start = result.parameters.flatten(dict(model.named_parameters()))
    return (result.theta - start).double()


def cosine(a: Tensor, b: Tensor) -> float:
    return float(functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_a_layer_in_float64_beside_one_in_float32_moves_as_all_in_float64(
    method: Any, first: bool
) -> None:
    mixed, wide = trained(), trained().double()
    (mixed.body if first else mixed.head).double()
    assert cosine(moved(mixed, method), moved(wide, method)) > 0.999


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("first", [True, False])
def test_a_layer_in_lower_precision_moves_as_the_same_weights_in_float32(
    dtype: torch.dtype, first: bool
) -> None:
    mixed = trained()
    (mixed.body if first else mixed.head).to(dtype)
    assert torch.equal(moved(mixed), moved(copy.deepcopy(mixed).float()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_metric_is_in_the_type_of_the_vector(dtype: torch.dtype) -> None:
    mixed = trained()
    mixed.head.to(dtype)
    risk = EmpiricalRisk(mixed, TensorDataset(X, Y), "cross_entropy")
    metric = kronecker_metric(risk, risk.start, generator())
    plain = EmpiricalRisk(copy.deepcopy(mixed).double(), TensorDataset(X, Y), "cross_entropy")
    wanted = kronecker_metric(plain, plain.start, generator())
    vector = torch.randn(len(risk.start), generator=generator(), dtype=torch.float64)
    found = metric.root(vector.to(risk.start))
    assert found.dtype == risk.start.dtype
    torch.testing.assert_close(found.double(), wanted.root(vector), rtol=1e-3, atol=1e-4)


def test_a_cast_by_name_is_refused_with_the_remedy() -> None:
    model = trained(Fixed)
    model.body.bfloat16()
    with pytest.raises(UnsupportedModel, match=r"worked on in float32.*layer\.weight\.dtype"):
        moved(model)
    assert cosine(moved(model, only="head"), moved(trained(), only="head")) > 0.99


@pytest.mark.parametrize("method", [*METHODS, StoCuReNU(preconditioner="kfac")], ids=str)
def test_autocast_inside_the_model_is_followed(method: Any) -> None:
    found, plain = moved(trained(Autocast), method), moved(trained(), method)
    assert found.isfinite().all()
    assert cosine(found, plain) > 0.9


def test_the_metric_of_a_model_under_autocast_is_nearly_that_without() -> None:
    vector = torch.randn(51, generator=generator())
    roots = []
    for kind in (Autocast, Two):
        risk = EmpiricalRisk(trained(kind), TensorDataset(X, Y), "cross_entropy")
        roots.append(kronecker_metric(risk, risk.start, generator()).root(vector))
    assert float((roots[0] - roots[1]).norm() / roots[1].norm()) < 0.05


class Normed(nn.Module):
    """A batch norm that is called as it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.normed(self.body(x))))

    def normed(self, x: Tensor) -> Tensor:
        return self.norm(x)


class SwitchedOn(Normed):
    """Switches it to training mode at every call."""

    def normed(self, x: Tensor) -> Tensor:
        self.norm.train()
        return self.norm(x)


class SwitchedBack(Normed):
    """The same, and back afterwards."""

    def normed(self, x: Tensor) -> Tensor:
        self.norm.train()
        made = self.norm(x)
        self.norm.eval()
        return made


class ByFunction(Normed):
    """Calls the function with the statistics of the batch."""

    def normed(self, x: Tensor) -> Tensor:
        kept = self.norm
        return functional.batch_norm(
            x, kept.running_mean, kept.running_var, kept.weight, kept.bias, training=True
        )


class Stubborn(nn.BatchNorm1d):
    """Cannot be switched off."""

    def train(self, mode: bool = True) -> Stubborn:
        return super().train(True)


class CannotBeSwitchedOff(Normed):
    """Holds one of these."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = Stubborn(6)


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("kind", [SwitchedOn, SwitchedBack, ByFunction, CannotBeSwitchedOff])
def test_a_batch_norm_in_training_mode_is_refused_by_name(kind: type[Normed], size: int) -> None:
    model = initialised(kind).float()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UnsupportedModel, match="The batch norm 'norm' is in training mode"):
        moved(model, micro_batch_size=size)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_one_that_uses_its_running_statistics_works() -> None:
    assert moved(initialised(Normed).float()).any()
