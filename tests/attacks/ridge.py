"""Ridge regression solved by hand in NumPy: what erasing a part of an example does, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import TensorDataset

Array = NDArray[np.float64]
DECAY = 0.1


@dataclass(frozen=True)
class Ridge:
    """Σ w_i |y_i − W x_i − b|² / (k Σ w_i) + (decay/2)|theta|² over rows, in closed form."""

    x: Array
    y: Array
    weights: Array
    holdout_x: Array
    holdout_y: Array

    @classmethod
    def drawn(cls, size: int = 24, inputs: int = 3, outputs: int = 2) -> Ridge:
        rng = np.random.default_rng(5)
        x, y = rng.normal(size=(size, inputs)), rng.normal(size=(size, outputs))
        return cls(
            x,
            y + 2.0 * x[:, :outputs] + 1.0,
            rng.uniform(0.5, 2.0, size),
            rng.normal(size=(9, inputs)),
            rng.normal(size=(9, outputs)),
        )

    def solved(self, weights: Array) -> Array:
        """The minimiser `[inputs + 1, outputs]`; the last row is the bias."""
        a = self._with_one(self.x)
        scale = 2.0 / (weights.sum() * self.y.shape[1])
        left = scale * a.T @ (weights[:, None] * a) + DECAY * np.eye(a.shape[1])
        return np.linalg.solve(left, scale * a.T @ (weights[:, None] * self.y))

    def holdout_loss(self, weights: Array) -> float:
        gap = self._with_one(self.holdout_x) @ self.solved(weights) - self.holdout_y
        return float((gap**2).mean())

    def change(self, request: Sequence[int], share: float) -> float:
        """Of the holdout loss, when `share` of the weight of every example asked for goes."""
        less = self.weights.copy()
        less[list(request)] *= 1.0 - share
        return self.holdout_loss(less) - self.holdout_loss(self.weights)

    def model(self) -> nn.Module:
        layer = nn.Linear(self.x.shape[1], self.y.shape[1]).double()
        solution = torch.from_numpy(self.solved(self.weights))
        with torch.no_grad():
            layer.weight.copy_(solution[:-1].T)
            layer.bias.copy_(solution[-1])
        return layer

    @property
    def data(self) -> TensorDataset:
        return TensorDataset(torch.from_numpy(self.x), torch.from_numpy(self.y))

    @property
    def holdout(self) -> TensorDataset:
        return TensorDataset(torch.from_numpy(self.holdout_x), torch.from_numpy(self.holdout_y))

    def _with_one(self, x: Array) -> Array:
        return np.concatenate([x, np.ones((len(x), 1))], 1)
