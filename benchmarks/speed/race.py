"""Contenders that take turns, so that what slows one of them down slows all of them down."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

__all__ = ["cnn", "environment", "images", "race", "ratios"]

Contender = Callable[[], object]


def environment() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "curenu": version("curenu"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def cnn() -> nn.Module:
    """The 20,490-parameter CNN of the Fashion-MNIST task."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 10),
    )


def images(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Synthetic images and labels of Fashion-MNIST's shape; costs do not see the pixels."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(size, 1, 28, 28, generator=generator)
    return drawn, torch.randint(10, (size,), generator=generator)


def race(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Seconds of each in every round, after one round that warms up."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(seconds: Mapping[str, list[float]], over: str) -> dict[str, dict[str, float]]:
    """Median, least and largest of the rounds' ratios to the contender `over`."""
    found = {}
    for name, own in seconds.items():
        each = [a / b for a, b in zip(own, seconds[over], strict=True)]
        found[name] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return found
