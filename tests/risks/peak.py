"""Run in a process of its own: peak memory of one product, in bytes, on standard output."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.memory import peak_memory
from curenu.risks import EmpiricalRisk

BATCH = 32


class Drawn(Dataset[tuple[Tensor, int]]):
    """Images made when asked for, so that the data itself takes no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image = torch.linspace(-1, 1, 784).view(1, 28, 28)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.image.roll(index, -1), index % 10


def main(batches: int, budget: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(1176, 10),
    )
    data = Drawn(batches * BATCH)
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=BATCH, data_memory=0)
    theta = risk.start
    risk.linearise(theta, memory_budget=budget) @ torch.ones_like(theta)
    print(peak_memory())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
