"""Erasing one request, or a sequence of them, from a trained network, for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from curenu.cost import Cost
from curenu.erasure import Erasure, ErasureProblem, Method, StepRecord
from curenu.facade import erase
from curenu.own_model import with_parameters
from curenu.risks import EmpiricalRisk, TrainingTime
from curenu.runs.records import Anchoring

__all__ = ["Erased", "erase_parts"]


@dataclass(frozen=True)
class Erased:
    """The model after every part was erased, what each erasure said, and what all cost."""

    model: nn.Module
    results: tuple[Erasure, ...]
    cost: Cost

    @property
    def trace(self) -> tuple[StepRecord, ...]:
        """The steps of all parts."""
        return tuple(step for result in self.results for step in result.trace)

    @property
    def damping(self) -> float | None:
        """The last damping that a step used or found; None if none did."""
        dampings = [step.damping for step in self.trace if step.damping is not None]
        return dampings[-1] if dampings else None


def erase_parts(
    risk: EmpiricalRisk,
    first: nn.Module,
    parts: Sequence[Sequence[int]],
    method: Method,
    seeds: Sequence[int],
    *,
    training: TrainingTime,
    anchor: Anchoring = "last",
    after: Callable[[int, nn.Module, Cost], None] | None = None,
) -> Erased:
    """Erase `parts` of `first` one after the other, each from the model the last one left.

    `risk` is over all examples and starts at `first`, `seeds` are one a part. With
    `anchor="first"` the objective of every part is built at `first`, over all that went.
    `after` is told (number of the part, the model, the cost so far).
    """
    theta, spent, gone = risk.start, Cost(), set[int]()
    results: list[Erasure] = []
    for number, (part, seed) in enumerate(zip(parts, seeds, strict=True), start=1):
        gone |= set(part)
        kept = [position for position in range(risk.size) if position not in gone]
        whole = anchor == "first"
        problem = ErasureProblem(
            theta,
            risk.subset(kept),
            risk.subset(tuple(gone) if whole else tuple(part)),
            anchor=risk.start if whole else None,
            penalty=results[-1].penalty if results else None,
            training=training,
        )
        result = erase(problem, method, seed=seed)
        theta, spent = result.theta, spent + result.cost
        results.append(result)
        if after is not None:
            after(number, with_parameters(first, risk.parameters, theta), spent)
    return Erased(with_parameters(first, risk.parameters, theta), tuple(results), spent)
