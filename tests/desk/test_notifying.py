"""Who has old weights is told, once at least, and the report counts who was told and answered."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from curenu.desk import notifying, queue, releasing
from curenu.desk.home import Desk
from curenu.desk.looking import complaints
from curenu.desk.refusals import IllegalMove, NotTold
from curenu.desk.tables import outbox
from curenu.errors import BadRequest
from tests.desk.desks import approved, run_here, versions

PROGRAM = """
import json, pathlib, sys
notice = json.load(sys.stdin)
if notice["recipient"] == {refused!r}: sys.exit(3)
pathlib.Path({place!r}, notice["recipient"]).write_text(json.dumps(notice))
"""


def release_to(desk: Desk, number: int, *recipients: str) -> str:
    approved(desk, number)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    return releasing.release(desk, made, "bea", recipients)


def program(place: Path, refused: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(refused=refused, place=str(place))]


def _open(desk: Desk) -> int:
    chosen = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.sent.is_(None))
    with desk.database.reading() as connection:
        return connection.execute(chosen).scalar_one()


def test_those_who_have_old_weights_are_told_what_to_use_instead(
    desk: Desk, tmp_path: Path
) -> None:
    first = next(iter(versions(desk)))
    assert notifying.pending(desk) == []
    second = release_to(desk, 1, "edge", "serving")
    (notice,) = notifying.pending(desk)
    assert notice == notifying.Notice("serving", "people", first, second)
    assert notifying.send(desk, program(tmp_path)) == [notice]
    assert json.loads((tmp_path / "serving").read_text())["instead"] == second
    assert notifying.pending(desk) == []
    assert _open(desk) == 0
    release_to(desk, 2)
    assert {one.recipient for one in notifying.pending(desk)} == {"edge", "serving"}
    assert _open(desk) == 1


def test_one_who_cannot_be_told_stays_open_and_the_others_are_told(
    desk: Desk, tmp_path: Path
) -> None:
    release_to(desk, 1, "edge", "serving")
    notifying.told(desk, "serving")
    release_to(desk, 2)
    with pytest.raises(NotTold, match=r"1 of 2 could not be told; edge: .* ended with 3"):
        notifying.send(desk, program(tmp_path, refused="edge"))
    assert [one.recipient for one in notifying.pending(desk)] == ["edge"]
    assert _open(desk) == 1
    with pytest.raises(BadRequest, match="cannot be run"):
        notifying.send(desk, [str(tmp_path / "nothing")])


def test_an_answer_counts_after_they_were_told(desk: Desk) -> None:
    release_to(desk, 1)
    with pytest.raises(IllegalMove, match="not told yet"):
        notifying.acknowledge(desk, "serving")
    assert notifying.told(desk, "serving") == 1
    with pytest.raises(BadRequest, match="Nothing is open for a recipient 'serving'"):
        notifying.told(desk, "serving")
    assert notifying.acknowledge(desk, "serving") == 1
    with pytest.raises(BadRequest, match="'nobody'"):
        notifying.acknowledge(desk, "nobody")
    second = release_to(desk, 2)
    with desk.database.reading() as connection:
        (old, _) = releasing._old_versions(connection, "people")
    assert (old["recipients"], old["notified"], old["acknowledged"]) == (1, 1, 1)
    assert old["sha256"] != second


def test_the_doctor_names_those_who_were_not_told_for_days(desk: Desk) -> None:
    first = next(iter(versions(desk)))
    release_to(desk, 1)
    assert complaints(desk) == []
    later = desk.clock() + timedelta(days=4)
    desk.clock = lambda: later
    assert any(first in said and "desk notify" in said for said in complaints(desk))
    notifying.told(desk, "serving")
    assert complaints(desk) == []
