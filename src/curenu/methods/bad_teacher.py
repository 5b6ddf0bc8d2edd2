"""BadTeacher: a student of two teachers, one that knows nothing for what goes.

Source: Chundawat et al., "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using
an Incompetent Teacher" (AAAI 2023). Differs from the paper in: the incompetent teacher is theta0
with the entries of every tensor shuffled, since a method here has no initialiser (tensors that
`only` keeps still are the trained ones in it too); the temperature is 1; the divergence is summed
over classes, where its published code averages over them as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import adam, follow
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import Anchor, EmpiricalRisk, distilled, mixed_batches, need_classes
from curenu.settings import Count, Positive, Settings, Share
from curenu.status import Status

__all__ = ["BadTeacher"]


@dataclass(frozen=True)
class BadTeacher(Settings):
    """Adam on KL(bad ‖ p_theta) over D_f and KL(p_theta0 ‖ p_theta) over a part of D_r.

    A batch of both has the mean of its examples' divergences, and the weight decay of the
    retain objective; `retain_share` of D_r is drawn once. Cost: `epochs` gradients of those
    examples, and the teachers' outputs.

    Raises `UnsupportedModel` unless the loss is `"cross_entropy"`, `IllPosed` when it
    diverges.
    """

    learning_rate: Positive = 1e-4
    epochs: Count = 1
    batch_size: Count = 128
    retain_share: Share = 0.3

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes of the student and at most as many of the teachers, six vectors."""
        passed = self.epochs * (self._drawn(problem.retain) + problem.forget.size)
        return Plan(examples=2 * passed, vectors=6, forward=passed)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: learn from the ignorant what goes, from the trained what stays."""
        need_classes(problem.retain, "BadTeacher")
        with problem.retain.meter.measure() as spent:
            bad = _shuffled(problem.forget, problem.start, generator)
            kept = problem.retain.sample(self._drawn(problem.retain), generator)
            parts = [
                (kept, distilled(Anchor(kept.source, problem.start))),
                (problem.forget, distilled(Anchor(kept.source, bad))),
            ]
            decay = problem.retain.weight_decay
            batches = (
                batch
                for _ in range(self.epochs)
                for batch in mixed_batches(parts, self.batch_size, generator, weight_decay=decay)
            )
            theta = follow(problem.start, batches, adam(self.learning_rate))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())

    def _drawn(self, retain: EmpiricalRisk) -> int:
        return math.ceil(self.retain_share * retain.size)


def _shuffled(risk: EmpiricalRisk, theta: Tensor, generator: torch.Generator) -> Tensor:
    """theta `[d]` with the entries of every tensor in a random order."""
    pieces = (piece.flatten() for piece in risk.parameters.unflatten(theta).values())
    return torch.cat([p[torch.randperm(len(p), generator=generator).to(p.device)] for p in pieces])
