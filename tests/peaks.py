"""Run in a process of its own: what an erasure was estimated to take, or did take, in bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.compare import estimate
from curenu.erasure import ErasureProblem
from curenu.memory import peak_memory
from curenu.methods import StoCuReNU
from curenu.risks import EmpiricalRisk

SIDE = 32


class Residual(nn.Module):
    """x + conv(norm(relu(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution(torch.relu(self.norm(x)))


def model(name: str) -> nn.Module:
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4096, 10),
        )
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(3 * SIDE**2, 2048), nn.Tanh(), nn.Linear(2048, 10)
        )
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1),
        Residual(32),
        Residual(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class Drawn(Dataset[tuple[Tensor, int]]):
    """Images made when asked for, so that the data itself takes no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image = torch.linspace(-1, 1, 3 * SIDE**2).view(3, SIDE, SIDE)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.image.roll(index, -1), index % 10


def _load_code() -> None:
    """What the first product of a process brings into memory, from a model of no size."""
    tiny = nn.Sequential(nn.Conv2d(3, 1, 3), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(900, 10))
    risk = EmpiricalRisk(tiny, Drawn(4), "cross_entropy")
    risk.linearise(risk.start, curvature="gauss_newton") @ risk.start


def _forget_peak() -> None:
    """Count from what is held now: the trial pass takes a whole micro-batch, too (Linux alone)."""
    counter = Path("/proc/self/clear_refs")
    if counter.exists():
        counter.write_text("5")


def main(name: str, what: str) -> None:
    torch.manual_seed(0)
    data = Drawn(1200)
    batch = 1024 if name == "cnn" else 256
    risk = EmpiricalRisk(model(name), data, "cross_entropy", micro_batch_size=batch)
    retain, forget = risk.split(range(200))
    problem = ErasureProblem(risk.start, retain, forget)
    method = StoCuReNU(
        objective="retain",
        curvature="gauss_newton",
        preconditioner="none",
        sample_size=1000,
        max_steps=1,
    )
    if what == "estimate":
        print(estimate(risk, method.plan(problem)).bytes)
        return
    _load_code()
    _forget_peak()
    before = peak_memory()
    method(problem, generator=torch.Generator().manual_seed(0))
    print(peak_memory() - before)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
