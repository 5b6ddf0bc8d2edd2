"""How fast does a model come back to what it forgot?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from curenu.compare import References
from curenu.descent.first_order import follow, momentum
from curenu.risks import EmpiricalRisk

__all__ = ["relearning_curves"]

Decisions = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_POINTS = 5  # of every curve, after the start
_RATE, _BATCH = 0.01, 64
_SHOTS = 32  # forget examples shown in the k-shot form
_LOOKED_AT = 1000  # forget examples whose accuracy is followed


def relearning_curves(
    risk: EmpiricalRisk, references: References, steps: int, decisions: Decisions | None = None
) -> dict[str, list[tuple[int, float]]]:
    """(step, forget accuracy) while training on retained examples, or on a few forgotten.

    Momentum descent with rate 0.01 and batches of 64 from the model of `risk`. The k-shot
    form trains on 32 forget examples, or half of them, and measures on the others. Every
    model of an erasure is shown the same batches and asked about the same examples, so that
    curves differ by the model alone. `decisions` are the task's.
    """
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(references.forget), generator=generator)
    forget = torch.tensor(references.forget)[order]
    shots = max(1, min(_SHOTS, len(forget) // 2))
    shown, rest = risk.subset(forget[:shots]), forget[shots:] if len(forget) > 1 else forget
    measured = risk.subset(rest[:_LOOKED_AT])

    def accuracy(theta: Tensor) -> float:
        outputs, targets = measured.outputs(theta)
        if decisions is not None:
            outputs, targets = decisions(outputs, targets)
        return float((outputs.argmax(1) == targets).double().mean())

    kept = risk.subset(list(references.retain))
    return {
        "retain": _curve(kept, accuracy, steps, generator),
        f"{shots} forgotten": _curve(shown, accuracy, steps, generator),
    }


def _curve(
    taught: EmpiricalRisk,
    accuracy: Callable[[Tensor], float],
    steps: int,
    generator: torch.Generator,
) -> list[tuple[int, float]]:
    theta, done = taught.start, 0
    points = [(0, accuracy(theta))]
    for upto in sorted({max(1, steps * part // _POINTS) for part in range(1, _POINTS + 1)}):
        theta = follow(theta, _batches(taught, upto - done, generator), momentum(_RATE))
        done = upto
        points.append((done, accuracy(theta)))
    return points


def _batches(
    risk: EmpiricalRisk, count: int, generator: torch.Generator
) -> Iterator[EmpiricalRisk]:
    for _ in range(count):
        yield risk.sample(_BATCH, generator)
