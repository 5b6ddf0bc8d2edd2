"""What the tests of the desk's state share: a small task, requests, and a solve in this process."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from curenu.atomic import replace_file
from curenu.desk import models, queue, requests, running, solving
from curenu.desk.home import Desk
from curenu.desk.policy import Policy
from curenu.desk.tables import batch, model_version, request

CANARY = "canary.person@example.org"

TASK = '''
import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.tasks import Recipe, Task


def small():
    """24 people, whom a linear model of 8 parameters tells apart in milliseconds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=generator)
    data = TensorDataset(x, (x[:, 0] > 0).long())
    return Task(
        name="small",
        build=lambda: nn.Linear(3, 2),
        train=data,
        test=data,
        loss="cross_entropy",
        recipe=Recipe(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0.01),
        ids=[f"canary-{number}" for number in range(24)],
    )
'''


def policy_for(run: Path, **changes: Any) -> Policy:
    task = f"{run.parent / 'small.py'}:small"
    return Policy(method="retrain", task=task, seal_hours=0, **changes)


def put_under(desk: Desk, run: Path, name: str = "people") -> str:
    return models.register(desk, name, run, policy_for(run), ["serving"])


def sent(desk: Desk, *numbers: int, name: str | None = None, **more: Any) -> str:
    """A request for the examples of those numbers; its id."""
    name = name or str(uuid.uuid4())
    ids = [f"canary-{number}" for number in numbers]
    given = {"identity": CANARY, "models": ["people"], "by": "anna"} | more
    requests.intake(desk, name, ids=ids, **given)
    return name


def approved(desk: Desk, *numbers: int, **more: Any) -> str:
    name = sent(desk, *numbers, **more)
    requests.approve(desk, name, "bea")
    return name


def found_by(desk: Desk, order: queue.Order, passed: bool = True) -> dict[str, Any]:
    """What a solve in this process finds, with figures that are said to pass or not.

    On 24 examples some figures do not exist; what they are is not what these tests are about.
    """
    folder = desk.attempt_folder(order.batch, order.attempt)
    folder.mkdir(parents=True)
    found = solving.solve(running.told_of(desk, order))
    if "status" in found and order.way == "erase":
        names = ("R", "G", "membership_attack", "holdout_loss")
        value = 1.0 if passed else 3.0
        rest = {"value": value, "low": None, "high": 2.0, "oracle": 1.0, "passed": passed}
        found |= {"figures": [{"name": name, **rest} for name in names], "oracles": 2}
    replace_file(folder / solving.RESULT, json.dumps(found).encode())
    return found


def run_here(desk: Desk, name: str, passed: bool = True, holder: str = "w-here") -> str:
    order = queue.take(desk, name, holder)
    return queue.commit(desk, order, found_by(desk, order, passed))


def status_of(desk: Desk, name: str) -> str:
    """The status of a request or of a batch."""
    with desk.database.reading() as connection:
        for table in (request, batch):
            found = connection.execute(sa.select(table.c.status).where(table.c.id == name)).scalar()
            if found is not None:
                return found
    raise KeyError(name)


def versions(desk: Desk) -> dict[str, str]:
    """The state of each version by its digest."""
    with desk.database.reading() as connection:
        rows = connection.execute(sa.select(model_version.c.digest, model_version.c.state))
        return {row.digest: row.state for row in rows}


def execute(desk: Desk, statement: str) -> None:
    """A statement as somebody with a database tool makes it."""
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql(statement)
