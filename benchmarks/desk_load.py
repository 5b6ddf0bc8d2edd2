"""How long the desk takes with many requests and versions: `python benchmarks/desk_load.py`.

Prints, for 100 and for 10,000 requests, the median time of what the desk shows and decides, and
the number of SQL statements that each takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from curenu.desk.home import Desk
from curenu.desk.looking import attestations, due_requests, runnable
from curenu.desk.queue import seal_due
from curenu.desk.tables import artifact, model, model_version, request, request_target

VERSIONS = 200


def fill(desk: Desk, count: int, versions: int = VERSIONS) -> None:
    """`count` requests, a tenth of them denied, and `versions` of one model without any files."""
    now, ids = desk.now(), [f"{n:08d}-0000-4000-8000-000000000000" for n in range(count)]
    rows = [
        {"id": one, "status": "received", "regime": "gdpr", "submitter": "anna", "count": 3,
         "commitment": f"{n:064x}", "received": now - timedelta(minutes=n),
         "due": (now + timedelta(days=5 + n % 30)).date()}
        for n, one in enumerate(ids)
    ]  # fmt: skip
    made = [
        {"digest": f"{n:064x}", "model": "people", "kind": "erased", "run": "nowhere",
         "state": "current" if n == versions - 1 else "tainted", "head": "0" * 64,
         "settings": "0" * 64, "made": now}
        for n in range(versions)
    ]  # fmt: skip
    known = [{"digest": one["digest"], "version": one["digest"], "as_of": n,
              "marking": "clean" if one["state"] == "current" else "contains_erased"}
             for n, one in enumerate(made)]  # fmt: skip
    with desk.database.transaction(now) as connection:
        rules = {"name": "people", "run": "nowhere", "head": "0" * 64, "policy": "{}"}
        connection.execute(model.insert().values(**rules, registered=now))
        connection.execute(request.insert(), rows)
        targets = [{"request": one, "model": "people", "state": "waiting"} for one in ids]
        connection.execute(request_target.insert(), targets)
        connection.execute(request.update().values(status="pending"))
        denied = request.update().where(request.c.id.in_(ids[::10]))
        connection.execute(denied.values(status="denied", reason="no_match"))
        connection.execute(model_version.insert(), made)
        connection.execute(artifact.insert(), known)
    if not desk.database.sqlite:
        with desk.database.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")


def statements(desk: Desk, work: Callable[[], Any]) -> int:
    """How many statements of SQL `work` takes, the beginnings of transactions apart."""
    seen: list[str] = []

    def note(*given: Any) -> None:
        if not given[2].startswith("BEGIN"):
            seen.append(given[2])

    event.listen(desk.database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(desk.database.engine, "before_cursor_execute", note)
    return len(seen)


def _milliseconds(work: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="repetitions of each")
    parser.add_argument("--database", help="postgresql://… of a new database, for 10,000 alone")
    given = parser.parse_args()
    print("requests  what          statements    median ms")
    for count in (10_000,) if given.database else (100, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            desk = Desk.create(Path(folder) / "desk", given.database)
            fill(desk, count)
            for name, look in (
                ("due", due_requests), ("allow-list", attestations),
                ("runnable", runnable), ("sealing", seal_due),
            ):  # fmt: skip
                asked = partial(look, desk)
                found = _milliseconds(asked, given.times)
                print(f"{count:>8}  {name:<12}  {statements(desk, asked):>10}  {found:>11.1f}")
            desk.close()


if __name__ == "__main__":
    main()
