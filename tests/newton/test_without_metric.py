"""Where K-FAC cannot follow a model the default goes on without it and says why; none ends raw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.errors import UnsupportedModel
from curenu.methods import FineTune, StoCuReNU
from tests.problems import classes, inputs

TIME = curenu.TrainingTime(20.0)


class Auxiliary(nn.Module):
    """A layer that no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.unused = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x)))


class Frozen(Auxiliary):
    """A body that runs under `no_grad`, with parameters that ask for a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = torch.tanh(self.body(x))
        return self.head(hidden)


class Experts(nn.Module):
    """Each example goes through one of two layers: a small micro-batch may miss one."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])

    def forward(self, x: Tensor) -> Tensor:
        out = x.new_zeros(len(x), 3)
        for place, expert in enumerate(self.experts):
            chosen = (x[:, 0] > 0) == bool(place)
            if chosen.any():
                out[chosen] = expert(x[chosen])
        return out


class Named(Auxiliary):
    """Outputs by name, as Hugging Face's models give them."""

    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


class Keeps(Auxiliary):
    """An activation kept as an attribute, with its graph."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = torch.tanh(self.body(x))
        return self.head(self.kept)


class Running(Auxiliary):
    """A buffer that is replaced by one with a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.body(x))
        self.mean = 0.9 * self.mean + 0.1 * hidden.mean()
        return self.head(hidden)


def asked(make: Callable[[], nn.Module], method: Any = "stocurenu") -> curenu.Unlearned:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().double()
    data = TensorDataset(inputs(40, 4), classes(40, 3))
    return curenu.unlearn(
        model,
        data,
        "cross_entropy",
        forget=[3, 9],
        training=TIME,
        micro_batch_size=4,
        method=method,
    )


@pytest.mark.parametrize("make", [Auxiliary, Frozen, Experts, Named])
def test_the_default_goes_on_as_without_a_metric(make: Callable[[], nn.Module]) -> None:
    found, plain = asked(make), asked(make, StoCuReNU(preconditioner="none"))
    assert any(
        note.startswith("no preconditioner: K-FAC cannot be measured on this model")
        for note in found.notes
    )
    assert found.status.ok
    moved = found.theta - plain.theta
    start = torch.cat([p.detach().flatten() for p in found.source.parameters()])
    # other random numbers were drawn, so other samples
    assert float((plain.theta - start).norm()) > 0
    assert float(moved.norm()) < float((plain.theta - start).norm())
    with pytest.raises(UnsupportedModel, match="K-FAC cannot be measured"):
        asked(make, StoCuReNU(preconditioner="kfac"))


@pytest.mark.parametrize("make", [Keeps, Running])
@pytest.mark.parametrize("method", ["stocurenu", FineTune(epochs=1)])
def test_what_a_model_keeps_of_its_passes_is_in_nobodys_way(
    make: Callable[[], nn.Module], method: Any
) -> None:
    assert asked(make, method).status.ok
