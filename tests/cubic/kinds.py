"""One table of cubic models: each kind of matrix and gradient a solver must get right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from curenu.cubic import CubicModel

__all__ = ["EASY", "HARD", "KINDS", "make"]

SIZE = 12


def rotated(eigenvalues: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """(g, H) with these eigenvalues and Uᵀg = coefficients, U a fixed rotation."""
    generator = torch.Generator().manual_seed(3)
    size = len(eigenvalues)
    noise = torch.randn(size, size, generator=generator, dtype=torch.float64)
    U = torch.linalg.qr(noise).Q
    H = (U * eigenvalues) @ U.mT
    return U @ coefficients, (H + H.mT) / 2


def line(low: float, high: float, size: int = SIZE) -> Tensor:
    return torch.linspace(low, high, size, dtype=torch.float64)


def ones(size: int = SIZE) -> Tensor:
    return torch.cos(torch.arange(size, dtype=torch.float64)) + 1.5


def first(value: float, rest: float) -> Tensor:
    c = rest * ones()
    c[0] = value
    return c


def low_rank() -> Tensor:
    return torch.cat([torch.zeros(SIZE - 3, dtype=torch.float64), line(1, 5, 3)])


def wide(condition: float) -> Tensor:
    return torch.logspace(0, -torch.tensor(condition).log10().item(), SIZE).double().flip(0)


KINDS: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "positive definite": lambda: rotated(line(1, 5), ones()),
    "low rank": lambda: rotated(low_rank(), ones()),
    "gradient in the range of a low rank": lambda: rotated(low_rank(), low_rank()),
    "indefinite": lambda: rotated(line(-3, 4), ones()),
    "negative definite": lambda: rotated(line(-5, -1), ones()),
    "zero": lambda: (ones(), torch.zeros(SIZE, SIZE, dtype=torch.float64)),
    "hard": lambda: rotated(line(-3, 4), first(0.0, 0.1)),
    "near hard": lambda: rotated(line(-3, 4), first(1e-9, 0.1)),
    "no lowest part but a long step": lambda: rotated(line(-3, 4), first(0.0, 1e3)),
    "lowest eigenvalue twice, hard": lambda: rotated(
        torch.cat([line(-3, -3, 2), line(-1, 4, SIZE - 2)]),
        torch.cat([line(0, 0, 2), 0.1 * ones(SIZE - 2)]),
    ),
    "zero gradient, positive definite": lambda: rotated(line(1, 5), 0 * ones()),
    "zero gradient, indefinite": lambda: rotated(line(-3, 4), 0 * ones()),
    "zero gradient and matrix": lambda: (0 * ones(), 0 * torch.outer(ones(), ones())),
    "gradient along the lowest eigenvector": lambda: rotated(line(-3, 4), first(2.0, 0.0)),
    "condition 1e12": lambda: rotated(wide(1e12), ones()),
    "condition 1e12, indefinite": lambda: rotated(wide(1e12) - 1e-9, ones()),
    "one dimension": lambda: rotated(line(-2, -2, 1), ones(1)),
    "one dimension, hard": lambda: rotated(line(-2, -2, 1), 0 * ones(1)),
} | {
    f"scales {g_scale:g} and {h_scale:g}": lambda g_scale=g_scale, h_scale=h_scale: rotated(
        h_scale * line(-3, 4), g_scale * ones()
    )
    for g_scale in (1e-6, 1e6)
    for h_scale in (1e-6, 1e6)
}

HARD = {
    "hard",
    "lowest eigenvalue twice, hard",
    "zero gradient, indefinite",
    "one dimension, hard",
}

EASY = ["positive definite", "low rank", "indefinite", "negative definite", "zero"]


def make(kind: str, penalty: float, dtype: torch.dtype = torch.float64) -> CubicModel:
    g, H = KINDS[kind]()
    return CubicModel(g.to(dtype), H.to(dtype), penalty)
