"""Models compared with retraining: their outputs, audited, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from curenu.audits import (
    Finding,
    Outputs,
    Split,
    accuracy,
    noise_floor,
    summarise,
    tow,
)
from curenu.errors import BadRequest
from curenu.objective import EmpiricalRisk
from curenu.report import Row
from curenu.session import Oracle, Session
from curenu.tasks import Task

__all__ = ["Comparison", "Stage", "compare", "distance", "evaluate"]

Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a stage of work by name; inside, progress is told (done, total)."""


@dataclass(frozen=True)
class Comparison:
    """What models are compared on, and the oracles they are compared with.

    `first` is the trained model before any erasure; `retraining` the seconds one took.
    """

    task: Task
    forget: tuple[int, ...]
    retain: tuple[int, ...]
    first: nn.Module
    oracles: tuple[Split, ...]
    distance: float
    retraining: float

    def split(self, model: nn.Module) -> Split:
        """The outputs of `model` on forget, retain and test set."""
        return _split(self.task, self.forget, self.retain, model)

    def nothing(self) -> Row:
        """The trained model as it was."""
        found = summarise(self.split(self.first), list(self.oracles))
        return Row("do nothing", tuple(found), update_norm=0.0, seconds=0.0, ratio=0.0)

    def oracle(self) -> Row:
        """The retrained models against each other: the mean of each quantity."""
        return Row(
            "oracle (retrained)",
            tuple(_among(self.oracles)),
            update_norm=self.distance,
            seconds=self.retraining,
            ratio=1.0,
        )

    def row(self, name: str, model: nn.Module, seconds: float, **others: Any) -> Row:
        """A model that was unlearned; `others` are further fields of the row."""
        return Row(
            name,
            tuple(summarise(self.split(model), list(self.oracles))),
            update_norm=distance(model, self.first),
            seconds=seconds,
            ratio=seconds / self.retraining,
            **others,
        )


def compare(
    task: Task,
    forget: Sequence[int],
    retain: Sequence[int],
    first: nn.Module,
    oracles: Sequence[Oracle],
) -> Comparison:
    """The comparison with two or more `oracles`, models retrained on `retain` alone."""
    if len(oracles) < 2:
        raise BadRequest(f"{len(oracles)} oracles have no spread.", "two oracles or more.")
    return Comparison(
        task,
        tuple(forget),
        tuple(retain),
        first,
        tuple(_split(task, forget, retain, oracle.model) for oracle in oracles),
        float(np.mean([distance(oracle.model, first) for oracle in oracles])),
        float(np.mean([oracle.seconds for oracle in oracles])),
    )


def evaluate(session: Session, oracles: int, stage: Stage) -> list[Row]:
    """Do nothing, the oracles and the run's current model, on all that was ever erased.

    Raises `BadRequest` when nothing has been erased or fewer than two oracles are asked for.
    """
    if not session.records:
        raise BadRequest("Nothing has been erased from this run.", "`curenu unlearn` first.")
    if oracles < 2:
        raise BadRequest(f"{oracles} oracles have no spread.", "two oracles or more.")
    trained = []
    for number in range(oracles):
        with stage(f"oracle {number + 1} of {oracles}") as progress:
            trained.append(session.oracle(number, progress=progress))
    comparison = compare(
        session.task, session.erased, session.retained, session.first_model, trained
    )
    records = session.records
    trace = tuple(step for record in records for step in record.trace)
    dampings = [step.damping for step in trace if step.damping is not None]
    current = comparison.row(
        ", ".join(dict.fromkeys(record.method for record in records)),
        session.model,
        sum(record.cost.seconds for record in records),
        damping=dampings[-1] if dampings else None,
        products=sum(record.cost.hvps for record in records),
        examples=sum(record.cost.examples for record in records),
        status=str(records[-1].status),
        trace=trace,
    )
    return [comparison.nothing(), comparison.oracle(), current]


def distance(model: nn.Module, other: nn.Module) -> float:
    """|theta − theta'| over all parameters, in float64."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    squares = [float((a.detach().double() - b.detach().double()).square().sum()) for a, b in pairs]
    return sum(squares) ** 0.5


def _split(task: Task, forget: Sequence[int], retain: Sequence[int], model: nn.Module) -> Split:
    return Split(
        _outputs(task, model, task.train, forget),
        _outputs(task, model, task.train, retain),
        _outputs(task, model, task.test, None),
    )


def _outputs(
    task: Task, model: nn.Module, dataset: Dataset[Any], positions: Sequence[int] | None
) -> Outputs:
    risk = EmpiricalRisk(model, dataset, task.loss)
    chosen = risk if positions is None else risk.subset(torch.as_tensor(positions))
    logits, targets = chosen.outputs(risk.start)
    return Outputs(logits, targets)


def _among(oracles: Sequence[Split]) -> list[Finding]:
    """The oracles' own figures: mean accuracies, mean ToW of one to the rest, noise floors."""

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    def floor(letter: str) -> float:
        return noise_floor([oracle.parts[letter] for oracle in oracles])

    found = [
        Finding(f"{letter.upper()}A", mean([accuracy("", o.parts[letter]).value for o in oracles]))
        for letter in oracles[0].parts
    ]
    rest = [[other for other in oracles if other is not oracle] for oracle in oracles]
    agreement = mean([tow(o, others).value for o, others in zip(oracles, rest, strict=True)])
    found.append(Finding("ToW", agreement, reference=1.0))
    floors = {letter: floor(letter) for letter in oracles[0].parts}
    return found + [
        Finding(f"JSD {letter}", value, reference=value) for letter, value in floors.items()
    ]
