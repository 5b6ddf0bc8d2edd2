"""NPO: gradient ascent that fades where an example has become unlikely.

Source: Zhang, Lin, Bai and Mei, "Negative Preference Optimization: From Catastrophic Collapse to
Effective Unlearning" (COLM 2024), with their retain term. Differs from the paper in: Adam with the
retain objective's weight decay in the gradient instead of AdamW; the learning rate is constant;
−log p of an example is its loss as given, so a loss averaged over tokens makes p their geometric
mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.descent.first_order import adam, follow, paired, paired_size
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import Anchor, combined, preference
from curenu.settings import Count, NotNegative, Positive, Settings
from curenu.status import Status

__all__ = ["NPO"]


@dataclass(frozen=True)
class NPO(Settings):
    """Adam on −(2/b) mean log sigmoid(−b log(p_theta/p_theta0)) over D_f + w L over D_r.

    b is `inverse_temperature`, w `retain_weight`; b → 0 is GradDiff, and so is every first
    step. Batches come in pairs, an epoch passes over D_f. Cost: `epochs` gradients of D_f
    and of as much of D_r, and the trained model's losses on D_f.

    Raises `UnsupportedModel` for a loss without one value per example, `IllPosed` when it
    diverges.
    """

    inverse_temperature: Positive = 0.1
    retain_weight: NotNegative = 1.0
    learning_rate: Positive = 1e-5
    epochs: Count = 10
    batch_size: Count = 32

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over pairs, at most as many forward over D_f, four vectors."""
        pairs = paired_size(problem.forget, problem.retain, self.batch_size)
        forward = self.epochs * problem.forget.size
        return Plan(examples=self.epochs * pairs + forward, vectors=4, forward=forward)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: prefer anything else to what goes."""
        with problem.retain.meter.measure() as spent:
            anchor = Anchor(problem.forget.source, problem.start)
            away = preference(anchor, self.inverse_temperature)
            batches = (
                combined(
                    [(1.0, gone, away), (self.retain_weight, kept, None)],
                    weight_decay=problem.retain.weight_decay,
                )
                for _ in range(self.epochs)
                for gone, kept in paired(problem.forget, problem.retain, self.batch_size, generator)
            )
            theta = follow(problem.start, batches, adam(self.learning_rate))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
