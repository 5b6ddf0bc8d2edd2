"""SIGKILL at any statement, commit or file: one version a batch, no request lost, a whole log."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from curenu.desk import queue
from curenu.desk.database import Database
from curenu.desk.home import Desk
from curenu.desk.looking import complaints
from curenu.desk.ready import entries
from curenu.desk.tables import batch, evaluation, model_version
from tests.desk import killed
from tests.desk.desks import approved, put_under, status_of, versions

_POINTS = 600  # more than a release takes; those past its end are no kills


def _killed_once(desk: Desk, point: int) -> bool:
    """Whether the worker was killed at `point` of its way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.desk.killed", str(desk.folder), str(point),
         desk.clock().isoformat()],
        capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def _round(desk: Desk, number: int, point: int) -> bool:
    """A request, a worker killed at `point`, and another that finishes; checks what came of it."""
    name = approved(desk, number)
    was_killed = _killed_once(desk, point)
    at = desk.clock() + 2 * queue.LEASE
    desk.clock = lambda: at
    killed.left[0] = 0
    killed.work(desk)
    assert status_of(desk, name) == "complete"
    with desk.database.reading() as connection:
        made = connection.execute(sa.select(model_version.c.batch)).scalars().all()
        done = connection.execute(sa.select(batch.c.id)).scalars().all()
        figures = connection.execute(sa.select(evaluation.c.batch)).scalars().all()
    assert sorted(filter(None, made)) == sorted(done)
    assert all(figures.count(one) == 4 for one in done)
    assert len(entries(desk)) == len(done) == len(list((desk.folder / "reports").iterdir()))
    assert list(versions(desk).values()).count("current") == 1
    assert complaints(desk) == []
    return was_killed


def _begun(folder: Path, url: str | None, trained: Path) -> Desk:
    """A new desk; a database that is given is emptied first."""
    if url is not None:
        database = Database(url)
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        database.close()
    desk = Desk.create(folder, url)
    put_under(desk, trained)
    start = desk.clock()
    desk.clock = lambda: start
    return desk


def _rounds(folder: Path, url: str | None, trained: Path, seed: int, kills: int) -> None:
    drawn, happened = random.Random(seed), 0
    while happened < kills:
        desk = _begun(folder / f"desk{happened}-{drawn.random()}", url, trained)
        for number in range(16):  # of 24 people some must stay to be trained on
            happened += _round(desk, number, drawn.randrange(1, _POINTS))
            if happened == kills:
                break
        desk.close()


def test_a_few_kills_lose_nothing(tmp_path: Path, trained: Path) -> None:
    desk = _begun(tmp_path / "desk", None, trained)
    # a kill in the taking, in the commit of the result, in the release
    assert [_round(desk, number, point) for number, point in enumerate((40, 180))] == [True, True]
    desk.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_kills_lose_nothing(tmp_path: Path, url: str | None, trained: Path) -> None:
    """Ten; `CURENU_DESK_KILLS=200` for the long form, some ten seconds each."""
    kills = int(os.environ.get("CURENU_DESK_KILLS", "10"))
    _rounds(tmp_path, url, trained, seed=18, kills=kills)
