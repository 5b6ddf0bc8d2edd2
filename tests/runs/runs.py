"""What the tests of runs share."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.methods import FineTune
from curenu.networks import Fingerprint
from curenu.runs.evidence import Entry, Head, Measures, Subjects, entry_of
from curenu.runs.founding import first_entry
from curenu.runs.records import Packed, RunDescription, digest, pack
from curenu.runs.store import RunStore
from curenu.status import Status
from curenu.tasks import Recipe, Task, load_task

SIZE = 1437
SHORT = FineTune(epochs=1)
TINY = 24
ANN, BOB, EVE = "person 1", "person 2", "person 3"

FIRST = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def vector(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def sample_task(**changes: Any) -> Task:
    return dataclasses.replace(load_task("digits"), **changes)


def tiny() -> Task:
    """24 people, whom a linear model of 8 parameters tells apart in milliseconds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(TINY, 3, generator=generator)
    data = TensorDataset(x, (x[:, 0] > 0).long())
    return Task(
        name="tiny",
        build=lambda: nn.Linear(3, 2),
        train=data,
        test=data,
        loss="cross_entropy",
        recipe=Recipe(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0.01),
        ids=[f"person {number}" for number in range(TINY)],
    )


@dataclasses.dataclass(frozen=True)
class Ends:
    """A method that ends in `status` with every parameter moved by `move`."""

    status: Status = Status.SCHEDULE_DONE
    move: float = 0.01

    def plan(self, problem: ErasureProblem) -> Plan:
        return SHORT.plan(problem)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        with problem.retain.meter.measure() as spent:
            theta = problem.start + self.move
            return Erasure(theta, self.status, spent())


def state_of(folder: Path) -> dict[str, str]:
    """Every file of a folder and the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sql(folder: Path, statement: str, *values: Any) -> list[Any]:
    """A statement on a run's ledger, as somebody with a database tool makes it."""
    connection = sqlite3.connect(folder / "ledger.sqlite")
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def weights(number: int) -> Packed:
    return pack({name: tensor + number for name, tensor in FIRST.items()})


def description(**changes: Any) -> RunDescription:
    values: dict[str, Any] = {
        "task": "digits",
        "title": "digits",
        "options": {"examples": 10},
        "recipe": {"weight_decay": 1e-4, "epochs": 3},
        "seed": 3,
        "examples": 10,
        "fingerprint": Fingerprint(*(digest(part.encode()) for part in "dlntrmos")),
        "start": weights(0).name,
    }
    return RunDescription(**(values | changes))


def founding(**changes: Any) -> tuple[RunDescription, Entry, list[Packed]]:
    """What a store is created with."""
    described = description(**changes)
    return described, first_entry(described), [weights(0)]


def granted(head: Head, **changes: Any) -> Entry:
    """The record after `head`, of a request that moved weights number-1 to weights number."""
    number = head.number + 1
    subjects = Subjects(request=f"request-{number}", ids=(f"person {number}",), positions=(number,))
    values: dict[str, Any] = {
        "kind": "request",
        "before": weights(number - 1).name,
        "after": weights(number).name,
        "method": "curenu",
        "status": Status.CONVERGED,
        "granted": True,
        "fingerprint": "print",
    }
    measures = changes.pop("measures", Measures())
    subjects = changes.pop("subjects", subjects)
    return entry_of(head, measures, subjects, **(values | changes))


def head_of(store: RunStore) -> Head:
    last = store.lines()[-1]
    return Head(last.number, last.hash)


def add(store: RunStore, **changes: Any) -> None:
    """One more record and its weights."""
    head = head_of(store)
    store.commit(granted(head, **changes), [weights(head.number + 1)], head=head.hash)
