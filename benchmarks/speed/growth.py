"""Seconds and peak memory of a product against n, d and the sample; a process for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.memory import peak_memory
from curenu.operators import KrylovSpace
from curenu.risks import EmpiricalRisk

__all__ = ["measure"]


class Drawn(Dataset[tuple[Tensor, int]]):
    """Images made when asked for, so that the data itself takes no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image = torch.linspace(-1, 1, 784)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.image.roll(index), index % 10


def measure(*, smoke: bool) -> dict[str, list[dict[str, Any]]]:
    sizes = [256, 1024] if smoke else [2048, 8192, 65_536]
    widths = [16, 64] if smoke else [16, 256, 4096]
    samples = [256, 1024] if smoke else [256, 1024, 4096, 16_384]
    return {
        "examples": [_apart(size=size, width=64, sample=size) for size in sizes],
        "parameters": [_apart(size=1024, width=width, sample=1024) for width in widths],
        "sample": [_apart(size=max(samples), width=64, sample=sample) for sample in samples],
    }


def _apart(**sizes: int) -> dict[str, Any]:
    command = [sys.executable, __file__, json.dumps(sizes)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(ran.stdout)


def _child(size: int, width: int, sample: int) -> dict[str, Any]:
    """A gradient, a product and a Lanczos step of two passes over a sample."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 10))
    risk = EmpiricalRisk(model, Drawn(size), "cross_entropy")
    theta = risk.start
    few = risk.sample(8, torch.Generator().manual_seed(0))
    few.linearise(theta, curvature="gauss_newton") @ few.gradient(theta)  # code is loaded
    before = peak_memory()
    objective = risk.sample(sample, torch.Generator().manual_seed(0))
    start = time.perf_counter()
    gradient = objective.gradient(theta)
    middle = time.perf_counter()
    curvature = objective.linearise(theta, curvature="gauss_newton")
    curvature @ gradient
    end = time.perf_counter()
    space = KrylovSpace(curvature, gradient.clone, limit=4)
    space.combine(np.ones(len(list(space.grow()))))
    return {
        "examples": size,
        "parameters": len(theta),
        "sample": sample,
        "gradient_seconds": middle - start,
        "product_seconds": end - middle,
        "peak_over_start_bytes": peak_memory() - before,
        "vector_bytes": theta.numel() * theta.element_size(),
    }


if __name__ == "__main__":
    print(json.dumps(_child(**json.loads(sys.argv[1]))))
