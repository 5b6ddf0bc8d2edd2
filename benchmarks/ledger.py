"""How long a long ledger takes: opening it, and the bookkeeping of one more request.

`python benchmarks/ledger.py --requests 100000` writes that many records as requests would and
prints the seconds of opening the run and of committing one more, the median of five each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu import Recipe, Session, Task
from curenu.cost import Cost
from curenu.erasure import StepRecord
from curenu.runs.evidence import Entry, Head, Measures, Subjects, entry_of
from curenu.runs.folder_store import FolderStore
from curenu.status import Status

SPARE = 1000  # examples that no request erases


def task(requests: int) -> Task:
    x = torch.zeros(requests + SPARE, 1)
    data = TensorDataset(x, torch.arange(len(x)) % 2)
    return Task(
        name="many",
        build=lambda: nn.Linear(1, 2),
        train=data,
        test=data,
        loss="cross_entropy",
        recipe=Recipe(epochs=1, batch_size=len(x), learning_rate=0.1),
    )


def record(head: Head, position: int, weights: str) -> Entry:
    """A record of ordinary size: ten steps, one example."""
    trace = tuple(StepRecord(value=0.1, penalty=float(step), rho=0.9) for step in range(10))
    return entry_of(
        head,
        Measures(arguments={"max_steps": 10}, cost=Cost(hvps=40, seconds=0.1), trace=trace),
        Subjects(request=f"letter {position}", ids=(position,), positions=(position,)),
        kind="request",
        before=weights,
        after=weights,
        method="stocurenu",
        status=Status.SCHEDULE_DONE,
        granted=True,
        seconds=0.1,
        update_norm=0.01,
        fingerprint="f",
    )


def fill(folder: Path, requests: int) -> None:
    """All but the last records at once, which no store offers to a session."""
    session = Session.create(folder, task(requests))
    head, weights = session.head, session.current
    store = FolderStore(folder)
    with store._database.writing() as connection:
        for position in range(requests):
            made = record(head, position, weights)
            line = made.line
            connection.execute(
                "INSERT INTO evidence VALUES (?, ?, ?)", (line.number, line.body, line.hash)
            )
            connection.execute("INSERT INTO measures VALUES (?, ?)", (line.number, made.measures))
            connection.execute(
                "INSERT INTO subjects VALUES (?, ?, ?)", (line.number, line.salt, line.subjects)
            )
            head = Head(line.number, line.hash)


def seconds(work: Callable[[], Any], times: int = 5) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        fill(folder, requests)
        same = task(requests)
        opening = seconds(lambda: Session.open(folder, same))
        session = Session.open(folder, same)
        spare = iter(range(requests, requests + SPARE))

        def request() -> None:
            """What a request costs beside its method: known before, state, commit, state."""
            session.record_of("letter unknown")
            made = record(session.head, next(spare), session.current)
            session.store.commit(made, None, head=session.head.hash)
            _ = session.model, session.record(made.line.number), session.head

        found = {
            "requests": requests,
            "opening": opening,
            "one more": seconds(request),
            "bytes": (folder / "ledger.sqlite").stat().st_size,
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
