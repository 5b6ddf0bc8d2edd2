"""A run as it can be read: its task, its records, its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from torch import nn

from curenu.errors import BadRequest, Disposed, RunBroken
from curenu.networks import Networks, fingerprint, refuse_other
from curenu.parameters import Selection
from curenu.risks import EmpiricalRisk, TrainingTime
from curenu.runs.adopting import ADOPT, ADOPTED
from curenu.runs.evidence import Head, Line, Passed, RequestRecord, record_of
from curenu.runs.ledger import RESTORE, Ledger
from curenu.runs.passed import still_kept
from curenu.runs.reading import take, uncollected
from curenu.runs.records import Named, canonical, digest
from curenu.runs.store import RunStore
from curenu.runs.task_source import hashes_of
from curenu.tasks import Task

__all__ = ["Run", "objective_of"]


class Run:
    """The state of a run as its store has it, checked to be whole and to fit the task.

    It is read again at every use, as far as others have written since. `reference` is the name
    or `file.py:function` that gave the task, None for an object. Raises `RunBroken` when the
    task, its data, ledger or weights are not those of this run.
    """

    def __init__(self, store: RunStore, task: Task, reference: str | None = None) -> None:
        self.store, self.task = store, task
        self.description = store.description()
        self.fingerprint = fingerprint(task, reference)
        self.sources = hashes_of(reference)
        self._ledger = Ledger()
        self._model: tuple[str, nn.Module] | None = None
        self._check_description()
        refuse_other(self.description.fingerprint, self.fingerprint, task.name)
        _ = self.model

    @property
    def networks(self) -> Networks:
        """The networks of the run's task that were trained beside its own models, kept."""
        return Networks(self.store.networks, self.task, self.fingerprint)

    @property
    def retraining(self) -> float:
        """Seconds of the last training of the whole model."""
        return self.ledger.base_seconds

    @property
    def ledger(self) -> Ledger:
        """What all records add up to now."""
        with uncollected():
            self._take_new()
        return self._ledger

    def _take_new(self) -> None:
        lines = self.store.lines(max(self._ledger.head.number, 0))
        if self._ledger.head.number >= 0:
            if not lines or lines[0].hash != self._ledger.head.hash:
                raise RunBroken(
                    f"Record {self._ledger.head.number} is no longer what it was.", RESTORE
                )
            lines = lines[1:]
        elif not lines:
            raise RunBroken(f"{self.store.place} has a ledger without a record.", RESTORE)
        if any('"forgot":true' in line.body for line in lines):
            self._ledger, lines = Ledger(), self.store.lines()
        take(self._ledger, lines, self.id_of)

    @property
    def head(self) -> Head:
        """The last record's number and hash: kept elsewhere, it shows a ledger that was cut."""
        return self.ledger.head

    @property
    def model(self) -> nn.Module:
        """The current model."""
        name = self.ledger.current
        if self._model is None or self._model[0] != name:
            self._model = name, self.load(name)
        return self._model[1]

    @property
    def current(self) -> str:
        """The name of the current weights."""
        return self.ledger.current

    @property
    def log(self) -> tuple[RequestRecord, ...]:
        """Every record: the training, requests granted and failed, retrainings, disposals."""
        _ = self.ledger
        measures = self.store.measures()
        return tuple(self._read(line, measures) for line in self.store.lines())

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The records that led to the current model: requests granted, and retrainings."""
        return tuple(record for record in self.log if record.granted and record.number)

    @property
    def erased(self) -> tuple[int, ...]:
        """Sorted positions of every example erased so far."""
        return tuple(sorted(self.ledger.erased))

    @property
    def retained(self) -> list[int]:
        """Sorted positions of the examples that nothing erased."""
        gone = self.ledger.erased
        return [p for p in range(self.description.examples) if p not in gone]

    def retained_before(self, number: int) -> list[int]:
        """Sorted positions of the examples retained when record `number` was made."""
        ledger = self.ledger
        if number > ledger.head.number:
            return self.retained
        if number <= ledger.forgot:
            raise Disposed(
                f"Who was erased before record {number} is no longer on record.",
                "naming the examples.",
            )
        before = Ledger()
        for line in self.store.lines(0, number):
            before.add(line)
        return [p for p in range(self.description.examples) if p not in before.erased]

    @property
    def next_number(self) -> int:
        """The number of the next record."""
        return self.ledger.head.number + 1

    def number_of(self, request: str | None) -> int:
        """The record that first tried the request of that name; the next one if none did."""
        ledger = self.ledger
        return ledger.tried.get(request or "", ledger.head.number + 1)

    def record_of(self, request: str | None) -> RequestRecord | None:
        """The record that granted the request of that name; None if none did."""
        number = self.ledger.granted.get(request or "")
        return None if number is None else self.record(number)

    def record(self, number: int) -> RequestRecord:
        """Record `number`."""
        lines = self.store.lines(number, number + 1)
        if number < 0 or not lines:
            raise BadRequest(f"There is no record {number}.", "a number that `log` has.")
        return self._read(lines[0], self.store.measures(number, number + 1))

    @property
    def origin(self) -> str:
        """What is to be said of where the first model came from; nothing if it was trained here."""
        return ADOPTED if self.record(0).method == ADOPT else ""

    @property
    def base(self) -> int:
        """The record that last trained the whole model; 0 is the run's own training."""
        return self.ledger.base_number

    @property
    def base_model(self) -> nn.Module:
        """The model that was last trained: by the run's recipe, or by a request to retrain."""
        return self.load(self.ledger.base)

    @property
    def passed(self) -> tuple[Passed, ...]:
        """What the training of the model that was last trained passed through, on record."""
        return self.record(self.base).checkpoints

    @property
    def training(self) -> TrainingTime:
        """How long training followed its gradient, and its checkpoints where all are kept."""
        return replace(self.task.training_time, checkpoints=still_kept(self.store, self.passed))

    @property
    def first_model(self) -> nn.Module:
        """The model as it was trained, before any request; `Disposed` once it was."""
        return self.load(self.ledger.first)

    def risk(self, model: nn.Module, only: Selection | None = None) -> EmpiricalRisk:
        """The training objective over all examples, as a function of the vector of `model`."""
        return objective_of(self.task, model, only)

    def load(self, name: str) -> nn.Module:
        """The model of that name; raises `Disposed` once its weights were."""
        return self.fit(self.store.weights(name), f"weights {name[:12]}")

    def fit(self, named: Named, what: str) -> nn.Module:
        """The task's network with the tensors `named`, each of which must fit."""
        model = self.task.initialise(self.description.seed)
        expected = {name: (t.shape, t.dtype) for name, t in model.state_dict().items()}
        given = {name: (t.shape, t.dtype) for name, t in named.items()}
        if expected != given:
            wrong = sorted(
                name
                for name in expected.keys() | given.keys()
                if expected.get(name) != given.get(name)
            )
            raise RunBroken(
                f"The run's {what} do not fit the task's network, first at {wrong[0]}.",
                "the task the run was made with, or a new run.",
            )
        model.load_state_dict(named)
        return model.eval()

    def _read(self, line: Line, measures: Mapping[int, str]) -> RequestRecord:
        text = measures.get(line.number)
        try:
            record = None if text is None else record_of(line, text)
        except ValidationError as error:
            raise RunBroken(f"Record {line.number} cannot be read: {error}.", RESTORE) from error
        if text is None or record is None or digest(text.encode()) != record.measures:
            raise RunBroken(f"The measures of record {line.number} were changed.", RESTORE)
        return record

    def task_id(self, position: int) -> Any:
        """What the task calls the example at `position`."""
        return position if self.task.ids is None else self.task.ids[position]

    def id_of(self, position: int) -> int | str:
        """The same as it is kept on record."""
        name = self.task_id(position)
        return name if isinstance(name, int | str) else str(name)

    def _check_description(self) -> None:
        first = self.store.lines(0, 1)
        if not first:
            raise RunBroken(f"{self.store.place} has a ledger without its first record.", RESTORE)
        told = self._read(first[0], self.store.measures(0, 1)).description
        if told != digest(canonical(self.description).encode()):
            raise RunBroken("The run's description is not that of its first record.", RESTORE)


def objective_of(task: Task, model: nn.Module, only: Selection | None = None) -> EmpiricalRisk:
    """What the task's recipe minimises, as a function of the vector of `model`; checked."""
    return EmpiricalRisk(
        model, task.train, task.loss, weight_decay=task.recipe.weight_decay, only=only
    )
