"""How long a network was trained, and which directions that was too short to resolve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.errors import BadRequest
from curenu.risks.empirical import EmpiricalRisk

__all__ = ["TrainingTime"]

_BATCHES = 4  # minibatches that an adaptive optimiser's scale is measured on
_PROBED = 256  # examples that the mean curvature is measured on where the time is not known
_SHARE = 0.3  # of that mean, taken instead


@dataclass(frozen=True)
class TrainingTime:
    """The time T that training followed its gradient: Σ rate / (1 − momentum).

    Directions of curvature below 1/T hardly moved in it, in the oracle's training neither.
    `total` is T, inf for training to convergence, None when it is not known.
    `adaptive_batch` is the batch size of an optimiser that divides every rate by the root
    mean square of its gradients (Adam, with T = Σ rate), None for plain or momentum descent.
    Section 3 of `docs/theory.md`.
    """

    total: float | None = None
    adaptive_batch: int | None = None

    def __post_init__(self) -> None:
        if self.total is not None and not self.total > 0:
            raise BadRequest(f"total={self.total}.", "a positive time, inf, or None.")
        if self.adaptive_batch is not None and (self.total is None or self.adaptive_batch < 1):
            raise BadRequest(f"{self}.", "a time, and 1 or more examples a batch.")

    @property
    def examples(self) -> int:
        """How many examples `least_curvature` passes at most."""
        if self.total is None:
            return _PROBED
        if self.adaptive_batch is None or math.isinf(self.total):
            return 0
        return _BATCHES * self.adaptive_batch

    def least_curvature(
        self, risk: EmpiricalRisk, theta: Tensor, generator: torch.Generator
    ) -> float:
        """The curvature that the time just resolves at theta: 1/T.

        For an adaptive optimiser rms/T, with rms the root mean square of minibatch gradients'
        entries. For an unknown time three tenths of the mean Gauss-Newton curvature, by one
        product with a vector of random signs.
        """
        if self.total is None:
            few = risk.sample(_PROBED, generator)
            signs = torch.randint(2, theta.shape, generator=generator).to(theta).mul_(2).sub_(1)
            kind = "gauss_newton" if risk.source.evaluation.shows_outputs else "hessian"
            bent = few.linearise(theta, curvature=kind, memory_budget=0, full_precision=True)
            product = bent @ signs
            mean = float(torch.dot(signs.double(), product.double())) / len(theta)
            return _SHARE * max(0.0, mean - risk.weight_decay)
        if self.adaptive_batch is None or math.isinf(self.total):
            return 1.0 / self.total
        batches = [risk.sample(self.adaptive_batch, generator) for _ in range(_BATCHES)]
        squares = [float(b.gradient(theta).double().square().mean()) for b in batches]
        return math.sqrt(sum(squares) / _BATCHES) / self.total
