"""Models that cannot be meant: each its own error before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.data import (
    TensorDataset,
)

from curenu.errors import (
    BadRequest,
    UnsupportedModel,
)
from curenu.risks import EmpiricalRisk
from tests.problems import generator, initialised, mlp
from tests.refusing import X, Y, refused


def test_scripted_and_lazy_modules_are_refused() -> None:
    traced = torch.jit.trace(mlp().model, X) if _traces() else None
    if traced is not None:
        refused(UnsupportedModel, "before `torch.jit", model=traced)
    refused(UnsupportedModel, "one batch through the model", model=nn.LazyLinear(3))


def _traces() -> bool:
    try:
        torch.jit.trace(nn.Linear(1, 1), torch.zeros(1, 1))
    except Exception:
        return False
    return True


class Several(nn.Module):
    def __init__(self, pack: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.pack = nn.Linear(4, 3), pack

    def forward(self, x: Tensor) -> Any:
        return self.pack(self.linear(x))


@pytest.mark.parametrize(
    "pack",
    [lambda z: (z, z), lambda z: [z, z], lambda z: {"scores": z}],
    ids=["tuple", "list", "dict"],
)
def test_several_outputs_need_a_loss_that_picks(pack: Any) -> None:
    model = initialised(lambda: Several(pack))
    refused(UnsupportedModel, "needs one", model=model)

    def picks(made: Any, y: Tensor) -> Tensor:
        z = made["scores"] if isinstance(made, dict) else made[0]
        return functional.cross_entropy(z, y)

    risk = EmpiricalRisk(model, TensorDataset(X, Y), picks)
    plain = EmpiricalRisk(
        initialised(lambda: nn.Linear(4, 3)), TensorDataset(X, Y), "cross_entropy"
    )
    torch.testing.assert_close(risk.gradient(risk.start), plain.gradient(plain.start))


@pytest.mark.parametrize("pack", [lambda z: {"logits": z}, lambda z: SimpleNamespace(logits=z)])
def test_logits_are_taken_of_several_named_outputs(pack: Any) -> None:
    risk = EmpiricalRisk(initialised(lambda: Several(pack)), TensorDataset(X, Y), "cross_entropy")
    plain = EmpiricalRisk(
        initialised(lambda: nn.Linear(4, 3)), TensorDataset(X, Y), "cross_entropy"
    )
    assert torch.equal(risk.gradient(risk.start), plain.gradient(plain.start))
    assert any("logits" in note for note in risk.notes)


def test_hessian_products_of_weight_norm_are_refused() -> None:
    """Torch's kernel has a wrong second derivative in either order of derivatives."""
    model = initialised(
        lambda: nn.Sequential(
            parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)
        )
    )
    risk = EmpiricalRisk(model, TensorDataset(X, Y), "cross_entropy")
    theta = risk.start
    vector = torch.randn(len(theta), generator=generator(5), dtype=theta.dtype)
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(UnsupportedModel, match="weight_norm"):
            risk.hvp(theta, vector)
    assert risk.gradient(theta).isfinite().all()


def test_a_penalty_on_the_weights_inside_the_loss_is_refused() -> None:
    """It would be a constant: it sees the weights of the model given, not those tried."""
    model = initialised(lambda: nn.Linear(4, 3))

    def penalised(outputs: Tensor, targets: Tensor) -> Tensor:
        penalty = sum(p.square().sum() for p in model.parameters())
        return functional.cross_entropy(outputs, targets) + 0.01 * penalty

    refused(BadRequest, "weight_decay=lambda", model=model, loss=penalised)


def test_batch_norm_that_measures_every_batch_is_refused() -> None:
    model = initialised(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    )
    refused(UnsupportedModel, "keeps no running statistics", model=model)


def scaled(made: Any, weight: Tensor) -> Any:
    return made * weight.mean()


class Held(nn.Module):
    """A weight that is used a second time, by something that holds the tensor."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        weight = self.first.weight
        self.function = {
            "closure": lambda h: functional.linear(h, weight),
            "partial": partial(functional.linear, weight=weight),
        }.get(how)
        self.weights = [weight]
        if how == "hook":
            self.last.register_forward_hook(lambda module, given, made: scaled(made, weight))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        if self.function is not None:
            h = self.function(h)
        elif len(self.weights) > 1:
            h = h @ self.weights[1].mT
        return self.last(h)


@pytest.mark.parametrize("how", ["closure", "partial", "hook", "list"])
def test_weights_that_are_used_by_another_way_are_refused(how: str) -> None:
    """Derivatives would lack that part: the gradient was off by a third to nine tenths."""
    model = initialised(lambda: Held(how))
    if how == "list":
        model.weights = [None, model.first.weight]  # type: ignore[assignment, union-attr]
    refused(UnsupportedModel, "'first.weight' by another way", model=model)


def test_a_forward_pass_without_a_gradient_is_refused() -> None:
    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

    refused(UnsupportedModel, "no_grad", model=initialised(Without))
