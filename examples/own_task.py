"""A task of your own for the command line: `curenu train examples/own_task.py:wine run`."""

from __future__ import annotations

import torch
from sklearn.datasets import load_wine
from torch import nn
from torch.utils.data import TensorDataset

from curenu import Recipe, Task


def wine(hidden: int = 16) -> Task:
    """Three wines by their chemistry, a small network; the ids are names of bottles."""
    data = load_wine()
    x = torch.from_numpy(data.data).float()
    x = (x - x.mean(0)) / x.std(0)
    y = torch.from_numpy(data.target).long()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    kept, held = order[:140], order[140:]
    return Task(
        name="wine",
        build=lambda: nn.Sequential(nn.Linear(13, hidden), nn.Tanh(), nn.Linear(hidden, 3)),
        train=TensorDataset(x[kept], y[kept]),
        test=TensorDataset(x[held], y[held]),
        loss="cross_entropy",
        recipe=Recipe(epochs=60, batch_size=20, learning_rate=0.05, weight_decay=1e-3),
        ids=[f"bottle-{int(i)}" for i in kept],
        source="scikit-learn's wine recognition data",
    )
