"""A run that somebody changed does not open, and says where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curenu.errors import RunBroken
from curenu.runs import Session
from curenu.runs.verify import verify
from tests.runs.runs import ANN, BOB, SHORT, TINY, sql, tiny


def spoil(statement: str) -> Callable[[Path], Any]:
    return lambda folder: sql(folder, statement)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (spoil("UPDATE evidence SET body = replace(body, 'SCHEDULE_DONE', 'STALLED')"), "changed"),
        (spoil("UPDATE evidence SET hash = upper(hash) WHERE number = 1"), "not have its hash"),
        (spoil("DELETE FROM evidence WHERE number = 1"), "out of order"),
        (spoil("UPDATE subjects SET body = replace(body, '[1]', '[5]')"), "committed to"),
        (spoil("UPDATE subjects SET body = replace(body, 'person 1', 'person 9')"), "committed"),
        (spoil("DELETE FROM subjects WHERE number = 1"), "subjects of record 1 are missing"),
        (spoil("UPDATE measures SET body = '{}' WHERE number = 0"), "were changed"),
        (lambda f: (f / "task.toml").write_text(
            (f / "task.toml").read_text().replace("weight_decay = 0.01", "weight_decay = 0.02")
        ), "description is not that"),
    ],
)  # fmt: skip
def test_a_run_that_was_tampered_with_does_not_open(
    tiny_run: Path, damage: Callable[[Path], Any], words: str
) -> None:
    session = Session.open(tiny_run, tiny())
    for person in (ANN, BOB):
        session.unlearn([person], SHORT)
    damage(tiny_run)
    with pytest.raises(RunBroken, match=words) as caught:
        Session.open(tiny_run, tiny())
    assert caught.value.remedy
    assert verify(session.store)[1] != []


def test_ids_are_checked_against_the_task_on_opening(tiny_run: Path) -> None:
    Session.open(tiny_run, tiny()).unlearn([ANN], SHORT)
    renamed = [f"person {number}" for number in range(TINY)]
    renamed[1] = "somebody else"
    with pytest.raises(RunBroken, match="ids or groups"):
        Session.open(tiny_run, dataclasses.replace(tiny(), ids=renamed))
