"""A run as it can be read: its task, its requests, its models."""

from __future__ import annotations

from torch import nn

from curenu.checks import size_of
from curenu.errors import RunBroken
from curenu.parameters import Selection
from curenu.risks import EmpiricalRisk
from curenu.runs.identity import data_digest
from curenu.runs.records import Named, RequestRecord
from curenu.runs.store import RunStore
from curenu.tasks import Task

__all__ = ["Run", "objective_of"]


class Run:
    """The state of a run as its store has it, checked to be whole and to fit the task.

    Raises `RunBroken` when data, ledger or weights are not those of this run.
    """

    def __init__(self, store: RunStore, task: Task) -> None:
        self.store, self.task = store, task
        self.description = store.description()
        self._check_task()
        self.refresh()

    @property
    def erased(self) -> tuple[int, ...]:
        """Sorted positions of every example erased so far."""
        return tuple(sorted(p for record in self.records for p in record.positions))

    @property
    def retained(self) -> list[int]:
        """Sorted positions of the examples that no granted request erased."""
        return self.retained_before(len(self.records) + 1)

    def retained_before(self, number: int) -> list[int]:
        """Sorted positions of the examples retained when request `number` was made."""
        gone = {p for record in self.records[: number - 1] for p in record.positions}
        return [p for p in range(self.description.examples) if p not in gone]

    def record_of(self, request: str | None) -> RequestRecord | None:
        """The granted request of that name; None if there is none."""
        return next((r for r in self.records if r.request == request), None)

    @property
    def base(self) -> int:
        """How many requests were granted up to the last that retrained the whole model."""
        numbers = [r.number for r in self.records if r.retrains]
        return numbers[-1] if numbers else 0

    @property
    def erased_since_base(self) -> tuple[int, ...]:
        """Sorted positions of what was erased since then."""
        return tuple(sorted(p for r in self.records[self.base :] for p in r.positions))

    @property
    def base_model(self) -> nn.Module:
        """The model that was last trained: by the run's recipe, or by a request to retrain."""
        base = self.base
        return self.load(self.records[base - 1].after) if base else self.first_model

    @property
    def first_model(self) -> nn.Module:
        """The model as it was trained, before any request."""
        return self.load(self.description.start)

    def risk(self, model: nn.Module, only: Selection | None = None) -> EmpiricalRisk:
        """The training objective over all examples, as a function of the vector of `model`."""
        return objective_of(self.task, model, only)

    def refresh(self) -> None:
        """Take in the ledger and the weights it ends with."""
        records = self.store.ledger()
        everyone = [position for record in records for position in record.positions]
        inside = all(0 <= position < self.description.examples for position in everyone)
        if not inside or len(set(everyone)) < len(everyone):
            raise RunBroken(
                "The ledger erases an example twice, or one that the task does not have.",
                "restoring the folder from a copy, or a new run.",
            )
        current = records[-1].after if records else self.description.start
        self.model = self.load(current)
        self.records, self.current = records, current

    def load(self, name: str) -> nn.Module:
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

    def _check_task(self) -> None:
        if (
            size_of(self.task.train) != self.description.examples
            or data_digest(self.task) != self.description.data
        ):
            raise RunBroken(
                f"The training data of {self.task.name!r} are not those of this run.",
                "the data the run was made with: ids mean nothing on any other.",
            )


def objective_of(task: Task, model: nn.Module, only: Selection | None = None) -> EmpiricalRisk:
    """What the task's recipe minimises, as a function of the vector of `model`; checked."""
    return EmpiricalRisk(
        model, task.train, task.loss, weight_decay=task.recipe.weight_decay, only=only
    )
