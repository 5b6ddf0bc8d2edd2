"""DELETE: the forget set keeps what the model thinks of it, but for the true class.

Source: Zhou et al., "Decoupled Distillation to Erase: A General Unlearning Method for Any
Class-centric Tasks" (CVPR 2025). Differs from the paper in: the learning rate is constant;
batch-norm statistics stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import UnsupportedModel
from curenu.risks import Anchor, combined, distilled, need_classes
from curenu.settings import BelowOne, Count, Positive, Settings
from curenu.status import Status

__all__ = ["DELETE"]


@dataclass(frozen=True)
class DELETE(Settings):
    """Momentum descent on KL(q ‖ p_theta) over D_f alone, q = p_theta0 without the true class.

    q is the softmax of the trained model's logits with the true class's at −∞. Made for the
    removal of whole classes: the retain set is not looked at. Cost: `epochs` gradients of
    D_f, and the trained model's outputs on it.

    Raises `UnsupportedModel` unless the loss is `"cross_entropy"` on class numbers of two
    classes or more, `IllPosed` when it diverges.
    """

    learning_rate: Positive = 1e-4
    epochs: Count = 20
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over the forget set, at most as many forward, two vectors."""
        passed = self.epochs * problem.forget.size
        return Plan(examples=2 * passed, vectors=2, forward=passed)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: distil from the model as it was, without the true class."""
        need_classes(problem.retain, "DELETE")
        with problem.retain.meter.measure() as spent:
            head = distilled(Anchor(problem.forget.source, problem.start), _without_truth)
            batches = (
                combined([(1.0, batch, head)], weight_decay=problem.retain.weight_decay)
                for _ in range(self.epochs)
                for batch in problem.forget.batches(self.batch_size, generator)
            )
            theta = follow(problem.start, batches, momentum(self.learning_rate, self.momentum))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())


def _without_truth(logits: Tensor, classes: Tensor) -> Tensor:
    """Logits `[b, k]` with those of `classes` `[b]` at −∞."""
    if classes.is_floating_point() or logits.shape[1] < 2 or bool((classes < 0).any()):
        raise UnsupportedModel(
            "DELETE removes the true class from a prediction, and here that leaves no other "
            "class or some target names none.",
            "targets that are class numbers, of two classes or more.",
        )
    return logits.scatter(1, classes.unsqueeze(1), -torch.inf)
