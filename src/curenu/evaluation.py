"""Models compared with retraining: their outputs, audited, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from curenu.audits import Finding, Outputs, Split, closeness, noise_floors
from curenu.errors import BadRequest
from curenu.report import Row
from curenu.risks import EmpiricalRisk
from curenu.runs.session import Oracle, Session
from curenu.tasks import Task

__all__ = ["Comparison", "Stage", "compare", "distance", "evaluate", "split_of"]

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

    @cached_property
    def before(self) -> Split:
        """The outputs of the trained model."""
        return self.split(self.first)

    @cached_property
    def floors(self) -> dict[str, float]:
        """The oracles' divergence from one another."""
        return noise_floors(list(self.oracles))

    def split(self, model: nn.Module) -> Split:
        """The outputs of `model` on forget, retain and test set."""
        return split_of(self.task, self.forget, self.retain, model)

    def nothing(self) -> Row:
        """The trained model as it was."""
        return Row(
            "do nothing", self._findings(self.before), update_norm=0.0, seconds=0.0, ratio=0.0
        )

    def oracle(self) -> Row:
        """The retrained models against each other: the mean of each quantity."""
        return Row(
            "oracle (retrained)",
            tuple(_among(self.oracles, self.floors, self.before)),
            update_norm=self.distance,
            seconds=self.retraining,
            ratio=1.0,
        )

    def row(self, name: str, model: nn.Module, seconds: float, **others: Any) -> Row:
        """A model that was unlearned; `others` are further fields of the row."""
        return Row(
            name,
            self._findings(self.split(model)),
            update_norm=distance(model, self.first),
            seconds=seconds,
            ratio=seconds / self.retraining,
            **others,
        )

    def _findings(self, found: Split) -> tuple[Finding, ...]:
        return tuple(closeness(found, list(self.oracles), self.floors, self.before))


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
        tuple(split_of(task, forget, retain, oracle.model) for oracle in oracles),
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


def split_of(task: Task, forget: Sequence[int], retain: Sequence[int], model: nn.Module) -> Split:
    """The outputs of `model` on forget, retain and test set, as decisions between classes."""
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
    return Outputs(*task.decided(*chosen.outputs(risk.start)))


def _among(oracles: Sequence[Split], floors: dict[str, float], before: Split) -> list[Finding]:
    """The oracles' own figures: each against the rest, as a model would be; their mean.

    Their divergences are the noise floors themselves, so R is 1 by definition. Two oracles
    leave one to compare with: the spread of G is then that of a single retraining.
    """
    each = []
    for number, oracle in enumerate(oracles):
        rest = [*oracles[:number], *oracles[number + 1 :]]
        each.append({f.name: f for f in closeness(oracle, rest, floors, before)})
    shared = [name for name in each[0] if all(name in found for found in each)]
    return [
        Finding(
            name,
            float(np.mean([found[name].value for found in each])),
            reference=_common([found[name].reference for found in each]),
        )
        for name in shared
    ]


def _common(values: Sequence[float | None]) -> float | None:
    """The value that all have; None if they differ."""
    return values[0] if len(set(values)) == 1 else None
