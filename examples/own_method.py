"""A method of your own: `curenu unlearn run --random 0.1 --method FILE:unlearning`.

The contract is that of the NeurIPS 2023 machine unlearning challenge: a function that is given the
trained network and three loaders of batches, and returns the network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

RATE, PASSES = 0.01, 1


def unlearning(net: nn.Module, retain: Any, forget: Any, validation: Any) -> nn.Module:
    """Raise the loss once on every batch to forget, then repair with passes over what stays."""
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    for x, y in forget:
        optimizer.zero_grad()
        (-nn.functional.cross_entropy(net(x), y)).backward()
        optimizer.step()
    for _ in range(PASSES):
        for x, y in retain:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net
