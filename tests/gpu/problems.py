"""Trained networks and their data, the same on every device: made and trained on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

COUNT = 900
CLASSES = 4


class Recurrent(nn.Module):
    """Its layers have fused kernels on graphics cards, with a backward in training mode only."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.cell = kind(6, 8, batch_first=True)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(torch.tanh(self.first(x)))[0][:, -1])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x).mean(1))


def mlp() -> tuple[nn.Module, TensorDataset]:
    return _made(lambda: nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, CLASSES)), 12)


def cnn() -> tuple[nn.Module, TensorDataset]:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.GELU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(72, CLASSES),
        )

    return _made(build, 1, 12, 12)


def recurrent(kind: type[nn.RNNBase]) -> tuple[nn.Module, TensorDataset]:
    return _made(lambda: Recurrent(kind), 7, 5)


def attention() -> tuple[nn.Module, TensorDataset]:
    return _made(Attending, 6, 8)


def to(device: Any, data: TensorDataset) -> TensorDataset:
    return TensorDataset(*(tensor.to(device) for tensor in data.tensors))


def doubled(data: TensorDataset) -> TensorDataset:
    x, y = data.tensors
    return TensorDataset(x.double(), y)


def _made(build: Callable[[], nn.Module], *shape: int) -> tuple[nn.Module, TensorDataset]:
    """Some labels are wrong, so that there is something to forget."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(COUNT, *shape, generator=draw)
    teacher = torch.randn(x[0].numel(), CLASSES, generator=draw)
    y = (x.flatten(1) @ teacher).argmax(1)
    wrong = torch.rand(COUNT, generator=draw) < 0.1
    y = torch.where(wrong, torch.randint(CLASSES, (COUNT,), generator=draw), y)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
        _train(model, x, y)
    return model.eval(), TensorDataset(x, y)


def _train(model: nn.Module, x: Tensor, y: Tensor) -> None:
    rule = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(4):
        for some in torch.randperm(COUNT).split(64):
            rule.zero_grad()
            functional.cross_entropy(model(x[some]), y[some]).backward()
            rule.step()
