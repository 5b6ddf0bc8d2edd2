"""RewindToDelete: back to weights of an earlier moment of training, then on without what goes.

Source: Mu and Klabjan, "Rewind-to-Delete: Certified Machine Unlearning for Nonconvex Functions"
(NeurIPS 2025). Differs from the paper in: no noise is added, so the result carries no guarantee
(theirs needs Lipschitz constants of the loss and its gradient, which nothing here can measure);
batches and momentum are allowed beside their full gradient (`batch_size=None`, `momentum=0`); how
many steps follow is not chosen but what makes up the training time that was rewound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from curenu.checkpoints import Checkpoint
from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.risks import EmpiricalRisk
from curenu.settings import BelowOne, Count, Positive, Settings
from curenu.status import Status

__all__ = ["RewindToDelete"]


@dataclass(frozen=True)
class RewindToDelete(Settings):
    """theta_k of a recorded checkpoint, then K steps of descent on the retain objective.

    v ← momentum v + g_B, theta ← theta − learning_rate v over shuffled batches B of D_r, with
    K = (T − t_k)(1 − momentum)/learning_rate steps, T the training's time and t_k the
    checkpoint's. `checkpoint` picks one by its place in time, −1 the last. The checkpoint has
    seen what goes, so a late one is cheap and forgets little; from the initialisation it would be
    retraining. Cost: K batches.

    Raises `BadRequest` where training was not recorded with checkpoints, `IllPosed` when it
    diverges.
    """

    checkpoint: int = -1
    learning_rate: Positive = 0.1
    batch_size: Count | None = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of a batch for every step."""
        size = min(self.batch_size or problem.retain.size, problem.retain.size)
        return Plan(self._steps(problem) * size, vectors=3)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: rewind, and train on without what goes."""
        steps = self._steps(problem)
        found, _ = self._course(problem)[self.checkpoint]
        start = found.vector(problem.retain.parameters)
        with problem.retain.meter.measure() as spent:
            rule = momentum(self.learning_rate, self.momentum)
            theta = follow(start, self._batches(problem.retain, steps, generator), rule)
        note = f"rewound to training time {found.time:g}, {steps} steps on the retain set since"
        return Erasure(theta, Status.SCHEDULE_DONE, spent(), notes=(note,))

    def _course(self, problem: ErasureProblem) -> list[tuple[Checkpoint, float]]:
        if not problem.training.checkpoints:
            raise BadRequest(
                "Training kept no weights to rewind to.",
                "`curenu.TrainingRecorder(optimizer, model)` in the training loop, and its "
                "`training_time()` as `training=`; of a run, `curenu train --checkpoints 3`.",
            )
        course = problem.training.course()
        if not -len(course) <= self.checkpoint < len(course):
            raise BadRequest(
                f"checkpoint={self.checkpoint} of {len(course)} recorded.",
                f"a place from {-len(course)} to {len(course) - 1}.",
            )
        return course

    def _steps(self, problem: ErasureProblem) -> int:
        found, _ = self._course(problem)[self.checkpoint]
        left = (problem.training.total or 0.0) - found.time
        return max(0, round(left * (1.0 - self.momentum) / self.learning_rate))

    def _batches(
        self, retain: EmpiricalRisk, steps: int, generator: torch.Generator
    ) -> Iterator[EmpiricalRisk]:
        if self.batch_size is None:
            yield from (retain for _ in range(steps))
            return
        while steps > 0:
            for batch in retain.batches(self.batch_size, generator):
                yield batch
                steps -= 1
                if steps == 0:
                    return
