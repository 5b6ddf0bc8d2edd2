"""GradDiff: the difference of two losses, for language models as for others.

Source: Liu, Liu and Stone, "Continual Learning and Private Unlearning" (CoLLAs 2022), as Maini
et al. use it in "TOFU: A Task of Fictitious Unlearning for LLMs" (2024). Differs from the latter
in: Adam with the retain objective's weight decay in the gradient instead of AdamW; the learning
rate is constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.first_order import adam, follow, paired, paired_size
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import combined
from curenu.settings import Count, NotNegative, Positive, Settings
from curenu.status import Status

__all__ = ["GradDiff"]


@dataclass(frozen=True)
class GradDiff(Settings):
    """Adam on w L_R − L_B over batches B of D_f, each beside a batch R of D_r.

    w is `retain_weight`. An epoch passes over D_f, with as many examples drawn from D_r.
    Works with any loss. Cost: `epochs` gradients of D_f and of as much of D_r. Raises
    `IllPosed` when it diverges.
    """

    retain_weight: NotNegative = 1.0
    learning_rate: Positive = 1e-5
    epochs: Count = 5
    batch_size: Count = 32

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over pairs of batches, four vectors."""
        pairs = paired_size(problem.forget, problem.retain, self.batch_size)
        return Plan(examples=self.epochs * pairs, vectors=4)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: up on what goes, down on what stays."""
        with problem.retain.meter.measure() as spent:
            batches = (
                combined(
                    [(-1.0, gone, None), (self.retain_weight, kept, None)],
                    weight_decay=problem.retain.weight_decay,
                )
                for _ in range(self.epochs)
                for gone, kept in paired(problem.forget, problem.retain, self.batch_size, generator)
            )
            theta = follow(problem.start, batches, adam(self.learning_rate))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
