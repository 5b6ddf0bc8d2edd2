"""SCRUB: a student that leaves its teacher where data goes and stays with it elsewhere.

Source: Kurmanji et al., "Towards Unbounded Machine Unlearning" (NeurIPS 2023). Differs from its
published code in: the temperature is 1 and the learning rate constant, as in the paper's
equations; both kinds of step take batches of one size; no average of iterates; batch-norm
statistics stay as they are. The rewinding variant SCRUB+R is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.data import Batch
from curenu.descent.first_order import Sloped, adam, follow
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.risks import Anchor, combined, distilled, need_classes
from curenu.settings import Count, NotNegative, Positive, Settings, ZeroOrMore
from curenu.status import Status

__all__ = ["SCRUB"]


@dataclass(frozen=True)
class SCRUB(Settings):
    """Adam up KL(p_theta0 ‖ p_theta) on D_f, then down gamma L + a KL on D_r, by epochs.

    The teacher p_theta0 is fixed. Each of the first `max_epochs` epochs begins with the
    batches of D_f, every epoch ends with those of D_r; gamma is `loss_weight`, a is
    `divergence_weight`, one Adam takes all steps, with the retain objective's weight decay.
    At theta0 the divergence is flat, so the very first steps up are small or weight decay's.
    Cost: `epochs` gradients of D_r, `max_epochs` of D_f, and the teacher's outputs.

    Raises `UnsupportedModel` unless the loss is `"cross_entropy"`, `IllPosed` when it
    diverges.
    """

    max_epochs: ZeroOrMore = 3
    epochs: Count = 10
    loss_weight: NotNegative = 1.0
    divergence_weight: NotNegative = 0.5
    learning_rate: Positive = 5e-4
    batch_size: Count = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_epochs > self.epochs:
            raise BadRequest(f"max_epochs={self.max_epochs}.", f"0 to epochs={self.epochs}.")

    def plan(self, problem: ErasureProblem) -> Plan:
        """All passes of the student and at most as many of the teacher, four vectors."""
        passed = self.max_epochs * problem.forget.size + self.epochs * problem.retain.size
        return Plan(examples=2 * passed, vectors=4, forward=passed)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: disobey the teacher on what goes, obey on what stays."""
        need_classes(problem.retain, "SCRUB")
        with problem.retain.meter.measure() as spent:
            batches = self._batches(problem, generator)
            theta = follow(problem.start, batches, adam(self.learning_rate))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())

    def _batches(self, problem: ErasureProblem, generator: torch.Generator) -> Iterator[Sloped]:
        retain, forget, size = problem.retain, problem.forget, self.batch_size
        divergence = distilled(Anchor(retain.source, problem.start))
        total = retain.source.evaluation.total

        def kept(outputs: Tensor, batch: Batch) -> Tensor:
            loss = self.loss_weight * total(outputs, batch)
            return loss + self.divergence_weight * divergence(outputs, batch)

        for epoch in range(self.epochs):
            if epoch < self.max_epochs:
                for gone in forget.batches(size, generator):
                    yield combined([(-1.0, gone, divergence)], weight_decay=retain.weight_decay)
            for batch in retain.batches(size, generator):
                yield combined([(1.0, batch, kept)], weight_decay=retain.weight_decay)
