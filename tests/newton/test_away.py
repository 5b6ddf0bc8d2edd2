"""Steps that lower an objective without a minimum near are no result."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu.status import Status
from tests.problems import generator, initialised

SIZE, DECAY = 120, 1e-3
GONE = list(range(0, SIZE, 40))


def data() -> tuple[Tensor, Tensor]:
    """Three overlapping clouds of points."""
    draw = generator(2)
    centres = torch.randn(3, 10, generator=draw)
    y = torch.randint(3, (SIZE,), generator=draw)
    return (centres[y] + torch.randn(SIZE, 10, generator=draw)).double(), y


def trained(x: Tensor, y: Tensor, kept: Tensor) -> nn.Module:
    """Not to convergence: the Hessian is indefinite."""
    model = initialised(lambda: nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3)))
    rule = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=DECAY)
    for _ in range(30):
        for part in kept.split(32):
            rule.zero_grad()
            functional.cross_entropy(model(x[part]), y[part]).backward()
            rule.step()
    return model


def vector(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def by_model(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch["x"]), batch["y"])


def test_steps_that_led_away_are_not_ok_and_those_by_name_are() -> None:
    x, y = data()
    everyone = torch.arange(SIZE)
    model = trained(x, y, everyone)
    rows: Any = [{"x": a, "y": b} for a, b in zip(x, y, strict=True)]
    oracle = trained(x, y, everyone[~torch.isin(everyone, torch.tensor(GONE))])
    retraining = float((vector(oracle) - vector(model)).norm())

    def erased(dataset: Any, loss: Any) -> tuple[curenu.Unlearned, float]:
        result = curenu.unlearn(
            model, dataset, loss, forget=GONE, method="curenu", weight_decay=DECAY
        )
        return result, float((result.theta - vector(oracle)).norm()) / retraining

    named, near = erased(TensorDataset(x, y), "cross_entropy")
    assert named.status.ok
    assert near < 1.1
    hidden, far = erased(rows, by_model)
    assert far > 2.0
    assert hidden.status is Status.AWAY
    assert not hidden.status.ok
    first, last = hidden.trace[0].gradient_norm, hidden.certificate
    assert first is not None
    assert last is not None
    assert last.gradient_norm > first
