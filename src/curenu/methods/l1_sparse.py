"""L1Sparse: training on the retain set under a sparsity term that fades.

Source: Jia et al., "Model Sparsity Can Simplify Machine Unlearning" (NeurIPS 2023), its
sparsity-aware unlearning. Differs from the paper in: of its schedules only the linearly falling
one is here; batch-norm statistics stay as they are, as in every objective of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import Sloped, follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.settings import BelowOne, Count, NotNegative, Positive, Settings
from curenu.status import Status

__all__ = ["L1Sparse"]


@dataclass(frozen=True)
class L1Sparse(Settings):
    """Descent on the retain objective + a·|theta|₁, a falling to zero over the epochs.

    v ← momentum v + g_B + a (1 − e/epochs) sign(theta), theta ← theta − learning_rate v, in
    epoch e = 0, 1, … over shuffled batches B of D_r; a is `sparsity`, sign(0) = 0. Cost:
    `epochs` gradients of D_r. Raises `IllPosed` when it diverges.
    """

    sparsity: NotNegative = 5e-4
    learning_rate: Positive = 0.01
    epochs: Count = 10
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """Exactly `epochs` passes over the retain set, three vectors."""
        return Plan(examples=self.epochs * problem.retain.size, vectors=3)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: train on, pulled towards few weights at first."""
        with problem.retain.meter.measure() as spent:
            theta = follow(
                problem.start,
                self._batches(problem, generator),
                momentum(self.learning_rate, self.momentum),
            )
        return Erasure(theta, Status.SCHEDULE_DONE, spent())

    def _batches(self, problem: ErasureProblem, generator: torch.Generator) -> Iterator[Sloped]:
        for epoch in range(self.epochs):
            weight = self.sparsity * (1 - epoch / self.epochs)
            for batch in problem.retain.batches(self.batch_size, generator):
                yield _Sparse(batch, weight)


@dataclass(frozen=True)
class _Sparse:
    """An objective plus weight · |theta|₁."""

    plain: Sloped
    weight: float

    def gradient(self, theta: Tensor) -> Tensor:
        return self.plain.gradient(theta).add_(theta.sign(), alpha=self.weight)
