"""How degenerate the curvature of an objective is: ends, density, rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.operators import (
    Extremes,
    RitzValue,
    Spectrum,
    dense_symmetric,
    extreme_eigenvalues,
    spectral_density,
)
from curenu.risks import Objective

__all__ = ["PROBES", "Diagnosis", "diagnose", "diagnose_dense"]

PROBES = 4
"""Random starts that the density is the mean of."""

TOLERANCE = 1e-3
"""Eigenvalues below so much of the largest count as zero.

Weight decay lifts flat directions off zero to about this share, and a few dozen Lanczos steps
tell nothing smaller from zero."""


@dataclass(frozen=True)
class Diagnosis:
    """A spectrum: its summary, its ends with residuals, and eigenvalues with their weights.

    `weights` sum to 1 over `nodes`: all eigenvalues, or the nodes of a quadrature.
    """

    spectrum: Spectrum
    ends: Extremes
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    examples: int

    @property
    def exact(self) -> bool:
        """Whether every eigenvalue was computed."""
        return self.spectrum.source == "eigenvalues"

    def to_json(self) -> dict[str, object]:
        """All of it, as JSON can hold it."""
        low, high = self.ends.smallest, self.ends.largest
        return {
            "parameters": self.spectrum.dimension,
            "examples": self.examples,
            "exact": self.exact,
            "lambda_min": {"value": low.value, "residual": low.residual},
            "lambda_max": {"value": high.value, "residual": high.residual},
            "rank": self.spectrum.rank,
            "share_not_positive": self.spectrum.nonpositive_share,
            "nodes": self.nodes.tolist(),
            "weights": self.weights.tolist(),
        }


def diagnose(
    objective: Objective, theta: Tensor, *, products: int, generator: torch.Generator
) -> Diagnosis:
    """From (1 + PROBES)·`products` Hessian-vector products: ends are Ritz values."""
    operator = objective.linearise(theta)
    ends = extreme_eigenvalues(operator, theta, products, generator)
    density = spectral_density(operator, theta, PROBES, products, generator)
    summary = Spectrum.of_density(density, TOLERANCE)
    return Diagnosis(summary, ends, density.nodes, density.weights, objective.size)


def diagnose_dense(objective: Objective, theta: Tensor) -> Diagnosis:
    """From all eigenvalues of the dense Hessian; `UnsupportedModel` when it does not fit."""
    values = torch.linalg.eigvalsh(dense_symmetric(objective.linearise(theta))).cpu().numpy()
    summary = Spectrum.of_eigenvalues(values, TOLERANCE)
    ends = Extremes(
        RitzValue(summary.lambda_min, 0.0), RitzValue(summary.lambda_max, 0.0), len(values)
    )
    weights = np.full(len(values), 1.0 / len(values))
    return Diagnosis(summary, ends, values, weights, objective.size)
