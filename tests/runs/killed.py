"""Runs killed at seeded points, in children of one process that has loaded everything.

`python -m tests.runs.killed FOLDER COUNT SEED` prints one JSON object: the points and every fault.
A point is the n-th time that the child opens, renames or removes a file or begins an SQL
statement. It is killed there, or within three milliseconds of it: in the middle of a commit.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curenu.compare import evaluate
from curenu.runs import Session
from curenu.runs.database import Database
from curenu.runs.evidence import record_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import SHORT, Ends, tiny

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "sqlite3.connect"}
TASK = tiny()
ORDER = ["trained", "request", "request", "request", "retrain", "disposal", "request"]


@contextmanager
def stage(name: str) -> Any:
    yield lambda done, total: None


def everything(folder: Path) -> None:
    """What a person does to a run; done again, it goes on where it was."""
    if FolderStore(folder).folder.exists() and founded(folder):
        session = Session.open(folder, TASK)
    else:
        session = Session.create(folder, TASK)
    session.unlearn(["person 1"], SHORT, request="a")
    if session.number_of("b") == session.next_number and session.record_of("c") is None:
        session.unlearn(["person 2"], Ends(Status.NO_GAIN, 0.0), request="b")
    session.unlearn(["person 3"], SHORT, request="c")
    if not any(record.kind == "retrain" for record in session.log):
        session.retrain()
    if session.record_of("d") is None:
        if not any(record.kind == "disposal" for record in session.log):
            evaluate(session, 2, stage)
        session.purge()
    session.unlearn(["person 4"], SHORT, request="d")


def founded(folder: Path) -> bool:
    store = FolderStore(folder)
    return (folder / "ledger.sqlite").exists() and store._head().number >= 0


def in_child(folder: Path, prepare: Callable[[], None]) -> int:
    """Do everything in a child process; how it ended."""
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w") if prepare is not nothing else sys.stderr  # noqa: SIM115
        prepare()
        everything(folder)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def nothing() -> None:
    """Do not kill it."""


def events(told: Callable[[], None]) -> None:
    """Have `told` called at every event of this process from now on."""
    sys.addaudithook(lambda event, _: told() if event in EVENTS else None)
    connect = Database._connect

    def traced(database: Database) -> Any:
        connection = connect(database)
        connection.set_trace_callback(lambda _: told())
        return connection

    Database._connect = traced  # type: ignore[method-assign]


def counting(count: Any) -> Callable[[], None]:
    return lambda: events(lambda: count.write(b"."))


def killing(point: int, delay: float) -> Callable[[], None]:
    """Kill the child at its event number `point`, or `delay` seconds later."""
    left = [point]

    def told() -> None:
        left[0] -= 1
        if left[0] == 0 and delay:
            signal.setitimer(signal.ITIMER_REAL, delay)  # whose signal ends a process at once
        elif left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: events(told)


def told_of(folder: Path) -> list[tuple[str, str]]:
    store = FolderStore(folder)
    measures = store.measures()
    return [(r.kind, r.after) for r in (record_of(n, measures[n.number]) for n in store.lines())]


def faults_at(folder: Path, whole: list[tuple[str, str]], files: set[str]) -> list[str]:
    """What is wrong after a kill, and after the same was then done again."""
    faults = []
    if folder.exists() and founded(folder):
        store = FolderStore(folder)
        found = told_of(folder)
        if found != whole[: len(found)]:
            faults.append(f"not a beginning of the whole: {found}")
        kept = {h.name for h in store.holdings() if not h.disposed}
        if found[-1][1] not in kept:
            faults.append("the current weights are not there")
        faults += [f for f in verify(store)[1] if "disposed of" not in f]
    if in_child(folder, nothing) != 0:
        return [*faults, "the same again failed"]
    if told_of(folder) != whole:
        faults.append(f"the same again gave {told_of(folder)}")
    if {str(path.relative_to(folder)) for path in folder.rglob("*.*")} != files:
        faults.append("other files than of a run that was not killed")
    return faults + verify(FolderStore(folder))[1]


def main(place: Path, count: int, seed: int) -> None:
    whole = place / "whole"
    with (place / "count").open("wb", buffering=0) as file:
        if in_child(whole, counting(file)) != 0:
            raise SystemExit("the whole failed")
    size = (place / "count").stat().st_size
    expected = told_of(whole)
    assert [kind for kind, _ in expected] == ORDER, expected
    files = {str(path.relative_to(whole)) for path in whole.rglob("*.*")}
    chosen = random.Random(seed)
    faults, killed = {}, 0
    for number in range(count):
        # the points are spread over the whole, one in each part of it
        point = 1 + int((number + chosen.random()) * size / count)
        delay = chosen.choice([0.0, chosen.uniform(1e-5, 3e-3)])
        folder = place / f"run-{number}"
        killed += in_child(folder, killing(point, delay)) != 0
        found = faults_at(folder, expected, files)
        if found:
            faults[f"{point}+{delay:.6f}"] = found
        shutil.rmtree(folder)
    print(json.dumps({"events": size, "killed": killed, "faults": faults}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
