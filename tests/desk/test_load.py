"""10,000 requests and 200 versions: what is due comes by an index, in as many statements as ever.

And a day of arrivals that a slow worker does not keep up with: nothing is late without an alarm.
"""

from __future__ import annotations

import random
import re
from contextlib import closing
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from benchmarks.desk_load import fill, statements
from curenu.desk import queue, releasing
from curenu.desk.home import Desk
from curenu.desk.looking import (
    MOST,
    complaints,
    due_query,
    due_requests,
    runnable,
)
from curenu.desk.tables import HAS_ENDED, IS_OPEN
from tests.desk.desks import approved, found_by, put_under, status_of

pytestmark = pytest.mark.slow


def _plan(desk: Desk, condition: str) -> str:
    """How the database goes about the query for what is due."""
    chosen = due_query(condition, MOST)
    text = str(chosen.compile(desk.database.engine, compile_kwargs={"literal_binds": True}))
    how = "EXPLAIN QUERY PLAN" if desk.database.sqlite else "EXPLAIN"
    with desk.database.reading() as connection:
        rows = connection.exec_driver_sql(f"{how} {text}").all()
    return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_what_is_due_costs_no_more_with_ten_thousand(tmp_path: Path, url: str | None) -> None:
    with (
        closing(Desk.create(tmp_path / "few")) as few,
        closing(Desk.create(tmp_path / "many", url)) as many,
    ):
        fill(few, 100)
        fill(many, 10_000)
        for ended in (True, False):
            asked = [partial(due_requests, desk, ended=ended) for desk in (few, many)]
            assert statements(few, asked[0]) == statements(many, asked[1]) <= 2
        found = due_requests(many)
        assert len(found) == MOST
        assert [row.due for row in found] == sorted(row.due for row in found)
        assert {row.status for row in found} == {"pending"}
        plan = _plan(many, IS_OPEN)
        assert "open_by_due" in plan, plan
        assert not re.search("TEMP B-TREE|Sort", plan), plan
        plan = _plan(many, HAS_ENDED)  # PostgreSQL may rather sort the few that have ended
        assert "ended_by_due" in plan, plan


def _letters(desk: Desk, drawn: random.Random, count: int) -> dict[str, date]:
    """So many letters of this hour, some of which lay about for weeks: the last day of each."""
    found = {}
    for _ in range(count):
        lain = timedelta(days=drawn.choice((0, 0, 0, 20, 27, 29, 30)))
        who = drawn.sample(range(14), drawn.randint(1, 2))  # of 24 people some stay
        name = approved(desk, *who, received=desk.now() - lain)
        found[name] = next(row.due for row in due_requests(desk) if row.id == name)
    return found


def _alarms(desk: Desk) -> set[str]:
    """The ids of the requests that the doctor names."""
    return set(re.findall(r"request ([0-9a-f-]{36}) is (?:late|due)", "\n".join(complaints(desk))))


def test_nothing_is_late_without_an_alarm(tmp_path: Path, trained: Path) -> None:
    desk = Desk.create(tmp_path / "desk")
    put_under(desk, trained)
    drawn, due, at = random.Random(18), {}, desk.clock() + timedelta(days=1)
    at = at.replace(hour=6)
    desk.clock = lambda: at
    running: tuple[queue.Order, int] | None = None
    late: set[str] = set()
    for hour in range(72):
        at += timedelta(hours=1)
        if hour < 24:
            due |= _letters(desk, drawn, drawn.randint(0, 3))
        queue.seal_due(desk)
        if running is None and runnable(desk):
            running = (queue.take(desk, runnable(desk)[0], "w-slow"), hour + 11)
        elif running is not None and hour < running[1]:
            queue.renew(desk, running[0])
        elif running is not None:
            order, running = running[0], None
            queue.renew(desk, order)
            if queue.commit(desk, order, found_by(desk, order)) == "awaiting_release":
                releasing.release(desk, order.batch, "bea")
        waiting = {name for name in due if status_of(desk, name) != "complete"}
        overdue = {name for name in waiting if due[name] < at.date()}
        near = {name for name in waiting if due[name] - at.date() <= timedelta(days=3)}
        assert overdue <= near <= _alarms(desk)
        assert _alarms(desk) <= waiting
        late |= overdue
    assert len(due) > 20
    assert late  # the worker was too slow for some, or nothing was tried here
    desk.close()
