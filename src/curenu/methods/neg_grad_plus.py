"""NegGradPlus: down the loss of what stays and, lightly, up the loss of what goes.

Source: the baseline NegGrad+ of Kurmanji et al., "Towards Unbounded Machine Unlearning"
(NeurIPS 2023). Differs from its published code in: batch-norm statistics stay as they are; weight
decay is added once, to the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.first_order import (
    follow,
    momentum,
    paired,
    paired_size,
)
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import combined
from curenu.settings import BelowOne, Count, Positive, Settings, UpToOne
from curenu.status import Status

__all__ = ["NegGradPlus"]


@dataclass(frozen=True)
class NegGradPlus(Settings):
    """Momentum descent on a L_R − (1 − a) L_B over batches R of D_r and B of D_f.

    a is `retain_weight`. An epoch passes over D_r; D_f is gone through again as often as it
    ends. Cost: `epochs` gradients of D_r and of as many batches of D_f. Raises `IllPosed`
    when it diverges.
    """

    retain_weight: UpToOne = 0.95
    learning_rate: Positive = 0.01
    epochs: Count = 10
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over pairs of batches, two vectors."""
        pairs = paired_size(problem.retain, problem.forget, self.batch_size)
        return Plan(examples=self.epochs * pairs, vectors=2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: train on, with what goes counted against."""
        away = 1.0 - self.retain_weight
        with problem.retain.meter.measure() as spent:
            batches = (
                combined(
                    [(self.retain_weight, kept, None), (-away, gone, None)],
                    weight_decay=problem.retain.weight_decay,
                )
                for _ in range(self.epochs)
                for kept, gone in paired(problem.retain, problem.forget, self.batch_size, generator)
            )
            theta = follow(problem.start, batches, momentum(self.learning_rate, self.momentum))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
