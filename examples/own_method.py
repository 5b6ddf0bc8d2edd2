"""A method of your own: `curenu unlearn run --random 0.1 --method FILE:unlearning`.

The contract is that of the NeurIPS 2023 machine unlearning challenge: a function that is given the
trained network and three loaders of batches, and returns the network. What it takes beside them can
be set: `--set rate=0.003`, or tuned in a benchmark.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def unlearning(
    net: nn.Module,
    retain: Any,
    forget: Any,
    validation: Any,
    *,
    rate: float = 0.01,
    passes: int = 1,
) -> nn.Module:
    """Raise the loss once on every batch to forget, then repair with passes over what stays."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for x, y in forget:
        optimizer.zero_grad()
        (-nn.functional.cross_entropy(net(x), y)).backward()
        optimizer.step()
    for _ in range(passes):
        for x, y in retain:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net
