"""Forget examples of a model of your own: no task, no run folder, one call."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import TensorDataset

import curenu

WEIGHT_DECAY, RATE, STEPS = 1e-3, 0.5, 200


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 5, generator=generator)
    y = (x[:, 0] + 0.5 * torch.randn(400, generator=generator) > 0).long()
    dataset = TensorDataset(x, y)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    result = curenu.unlearn(
        model,
        dataset,
        "cross_entropy",
        forget=range(20),
        weight_decay=WEIGHT_DECAY,  # as in training: it is part of the objective
        training=curenu.TrainingTime(RATE * STEPS),  # where training stopped, the oracle would
        seed=0,
    )
    print(result.status)
    print(f"{result.cost.gradients} gradients, {result.cost.hvps} Hessian-vector products")
    for step in result.trace:
        print(f"{step.products} products gave a step of length {step.step_norm:.3g}")


if __name__ == "__main__":
    main()
