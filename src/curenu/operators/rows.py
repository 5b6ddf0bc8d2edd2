"""A matrix known through rows: lambda I + (1/m) Σ g gᵀ, and its powers times a vector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from curenu.errors import BadRequest

__all__ = ["RowMatrix"]

_CHUNK = 1 << 16  # columns converted to float64 at once


@dataclass(frozen=True)
class RowMatrix:
    """F = damping I + (1/m) GᵀG for G `[m, d]`; nothing of size d × d is ever made.

    With eigenpairs (κ_j, q_j) of GGᵀ/m, u_j = Gᵀq_j/√(m κ_j) are eigenvectors of F with
    eigenvalues damping + κ_j; every other direction has the eigenvalue damping. The power −1 is
    what m steps of the rank-one recursion F_i⁻¹ = F_{i−1}⁻¹ − u uᵀ/(m + g_i·u), u = F_{i−1}⁻¹g_i,
    F_0 = damping I give (Woodbury). Memory: the m rows. Time: m²d once, 2md a product.
    """

    rows: Tensor = field(repr=False)
    damping: float
    values: Tensor
    vectors: Tensor = field(repr=False)

    @classmethod
    def of(cls, rows: Tensor, damping: float) -> Self:
        """From gradients `[m, d]`, which are kept; raises `BadRequest` without damping."""
        if not 0 < damping < float("inf"):
            raise BadRequest(f"damping={damping}.", "a positive number.")
        gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
        for part in rows.split(_CHUNK, dim=1):
            wide = part.double()
            gram += wide @ wide.mT
        values, vectors = torch.linalg.eigh(gram / len(rows))
        bent = values > len(rows) * torch.finfo(torch.float64).eps * values[-1]
        return cls(rows, damping, values[bent], vectors[:, bent])

    def power(self, exponent: float, vector: Tensor) -> Tensor:
        """F^exponent · vector, `[d]`."""
        flat = self.damping**exponent
        scale = ((self.damping + self.values) ** exponent - flat) / (len(self.rows) * self.values)
        seen = self.vectors.mT @ (self.rows @ vector).double()
        inside = self.vectors @ (scale * seen)
        return (vector * flat).addmv_(self.rows.mT, inside.to(vector))
