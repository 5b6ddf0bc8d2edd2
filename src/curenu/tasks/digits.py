"""Handwritten digits: 1,797 images of 8 × 8 pixels, bundled with scikit-learn."""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["digits"]

_RECIPE = Recipe(epochs=40, batch_size=32, learning_rate=0.05, weight_decay=1e-3)


def digits() -> Task:
    """Digits 0 to 9 from a 64-32-10 tanh network of 2,410 parameters; a fixed 80/20 split."""
    train, test = _data()
    return Task(
        name="digits",
        build=lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)),
        train=train,
        test=test,
        loss="cross_entropy",
        recipe=_RECIPE,
        source="scikit-learn's bundled copy of the UCI optical digits",
    )


@functools.cache
def _data() -> tuple[TensorDataset, TensorDataset]:
    from sklearn.datasets import load_digits  # a second that other tasks need not wait
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16.0, labels, test_size=0.2, stratify=labels, random_state=0)
    x, x_test, y, y_test = (torch.from_numpy(part) for part in parts)
    return TensorDataset(x.float(), y), TensorDataset(x_test.float(), y_test)
