"""RandomLabels: training on everything, with labels drawn by lot for what goes.

Source: the baseline "random labels" of Golatkar, Achille and Soatto, "Eternal Sunshine of the
Spotless Net" (CVPR 2020), after Hayase, Yasutomi and Katoh (2020). Differs from its usual code
in: the labels come from the method's generator, so that another round draws others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import follow, momentum
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import UnsupportedModel
from curenu.risks import WeightedSum, cross_entropy_to, mixed_batches, need_classes
from curenu.settings import BelowOne, Count, Positive, Settings
from curenu.status import Status

__all__ = ["RandomLabels", "random_classes", "relabelled"]


@dataclass(frozen=True)
class RandomLabels(Settings):
    """Momentum descent to the true labels of D_r and to random ones of D_f.

    Each forget example gets one label, uniform over all classes, the true one among them,
    and keeps it through all epochs; batches mix both sets, every example weighs the same.
    Cost: `epochs` gradients of D, and the outputs of D_f.

    Raises `UnsupportedModel` unless the loss is `"cross_entropy"` on class numbers,
    `IllPosed` when it diverges.
    """

    learning_rate: Positive = 0.01
    epochs: Count = 10
    batch_size: Count = 128
    momentum: BelowOne = 0.9

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over all the data, one forward over the forget set, two vectors."""
        forward = problem.forget.size
        whole = problem.retain.size + problem.forget.size
        return Plan(self.epochs * whole + forward, vectors=2, forward=forward)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: teach noise in the place of what goes."""
        need_classes(problem.retain, "RandomLabels")
        with problem.retain.meter.measure() as spent:
            labels = random_classes(problem, generator, false_only=False)
            batches = relabelled(problem, labels, self.epochs, self.batch_size, generator)
            theta = follow(problem.start, batches, momentum(self.learning_rate, self.momentum))
        return Erasure(theta, Status.SCHEDULE_DONE, spent())


def relabelled(
    problem: ErasureProblem,
    labels: Tensor,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
) -> Iterator[WeightedSum]:
    """Shuffled batches of all the data, where the forget set has the classes `labels` `[n]`."""
    parts = [(problem.retain, None), (problem.forget, cross_entropy_to(labels))]
    decay = problem.retain.weight_decay
    for _ in range(epochs):
        yield from mixed_batches(parts, batch_size, generator, weight_decay=decay)


def random_classes(
    problem: ErasureProblem, generator: torch.Generator, *, false_only: bool
) -> Tensor:
    """A random class of every forget example, at its position in the dataset, `[n]`.

    Uniform over all classes, or over the false ones. Negative targets, which cross-entropy
    ignores, stay as they are. Raises `UnsupportedModel` where there is nothing to draw.
    """
    outputs, targets = problem.forget.outputs(problem.start)
    count = outputs.shape[1]
    if targets.is_floating_point() or count < 2:
        raise UnsupportedModel(
            "Random classes are to be drawn, and these targets are distributions or name one "
            "class only.",
            "targets that are class numbers, of two classes or more.",
        )
    first = 1 if false_only else 0
    shift = torch.randint(first, count, targets.shape, generator=generator).to(targets)
    labels = targets.new_zeros(problem.forget.source.examples.size, *targets.shape[1:])
    places = problem.forget.ids.to(labels.device)
    labels[places] = ((targets + shift) % count).where(targets >= 0, targets)
    return labels
