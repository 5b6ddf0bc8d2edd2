"""A small network and training steps for the tests of the recorder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tests.problems import generator


def net(seed: int = 0) -> nn.Linear:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)))
    return model


def step(model: nn.Module, optimizer: Optimizer, times: int = 1, scheduler: Any = None) -> None:
    for _ in range(times):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().mean().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
