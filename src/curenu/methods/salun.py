"""SalUn: random labels for what goes, learnt by the weights that matter to it.

Source: Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-Based Weight Saliency"
(ICLR 2024). Differs from the paper in: the share of weights that move is set instead of a
threshold (its median is a share of one half); the weight between the two sets is that of their
sizes, from batches of both, as in its published code. That code may draw the true label again;
the paper and this file do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.methods.random_labels import random_classes, relabelled
from curenu.risks import combined, need_classes
from curenu.settings import BelowOne, Count, Positive, Settings, Share
from curenu.status import Status

__all__ = ["SalUn"]


@dataclass(frozen=True)
class SalUn(Settings):
    """Descent to false labels on D_f and true ones on D_r, through a mask of weights.

    The mask is the top `share` of |∇L_f(theta0)|, L_f the mean loss on D_f; every forget
    example gets one label drawn uniformly from the false ones. Gradient, weight decay and
    momentum are masked: other weights keep their bits. Cost: `epochs` gradients of D, one of
    D_f and its outputs.

    Raises `UnsupportedModel` unless the loss is `"cross_entropy"`, `IllPosed` when it
    diverges.
    """

    share: Share = 0.5
    learning_rate: Positive = 0.013
    epochs: Count = 10
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over all the data, two over the forget set, three vectors."""
        whole = problem.retain.size + problem.forget.size
        forward = problem.forget.size
        return Plan(self.epochs * whole + 2 * forward, vectors=3, forward=forward)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: teach false labels to the weights that knew the true ones."""
        need_classes(problem.retain, "SalUn")
        with problem.retain.meter.measure() as spent:
            mask = self._mask(problem)
            labels = random_classes(problem, generator, false_only=True)
            batches = relabelled(problem, labels, self.epochs, self.batch_size, generator)
            rule = momentum(self.learning_rate, self.momentum)
            theta = follow(problem.start, batches, rule, mask=mask)
        return Erasure(theta, Status.SCHEDULE_DONE, spent())

    def _mask(self, problem: ErasureProblem) -> Tensor:
        """Ones at the largest `share` of |∇L_f(theta0)|, without the weight decay, `[d]`."""
        loss = combined([(1.0, problem.forget, None)], weight_decay=0.0)
        size = loss.gradient(problem.start).abs()
        count = max(1, round(self.share * len(size)))
        return torch.zeros_like(size).index_fill_(0, size.topk(count).indices, 1.0)
