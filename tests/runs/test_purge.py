"""What goes and what stays possible: weights that saw what was erased, and ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curenu.errors import BadRequest, Disposed
from curenu.methods import StoCuReNU
from curenu.newton.tuning import Tuning
from curenu.runs import Session
from curenu.runs.memory_store import MemoryStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import ANN, BOB, EVE, SHORT, Ends, tiny

DEAR = Tuning(most_cost=1e6)  # of a training of two epochs half is not enough


def test_models_that_saw_what_was_erased_go_and_the_run_goes_on(tiny_run: Path) -> None:
    session = Session.open(tiny_run, tiny())
    session.oracle(0)
    for person in (ANN, BOB):
        session.unlearn([person], StoCuReNU(max_steps=1, tuning=DEAR), accept=True)
    session.oracle(0)
    held = {(h.kind, h.name) for h in session.store.holdings()}
    record = session.purge()
    assert record is not None
    gone = {(d.kind, d.name) for d in record.disposed}
    left = {(h.kind, h.name) for h in session.store.holdings() if not h.disposed}
    assert left == held - gone
    assert {kind for kind, _ in left} == {"weights", "oracle"}  # the oracle of what stays now
    assert ("weights", session.current) in left
    assert len(left) == 2
    files = {path.stem for path in tiny_run.glob("*/*.safetensors")}
    assert files == {name.removesuffix(".safetensors") for _, name in left}
    assert session.purge() is None
    with pytest.raises(Disposed, match="disposed of"):
        _ = session.first_model
    with pytest.raises(Disposed):
        session.unlearn([EVE], StoCuReNU(max_steps=1, tuning=DEAR), anchor="first")
    after = (
        Session.open(tiny_run, tiny())
        .unlearn([EVE], StoCuReNU(max_steps=1, tuning=DEAR), accept=True)
        .record
    )
    assert after.drift is not None
    assert (after.drift.requests, after.drift.distance, after.drift.aim) == (3, None, None)
    assert "cannot be measured any more" in after.notes[-1]
    assert verify(session.store) == (session.head, [])


@pytest.mark.parametrize(("keep", "left"), [("all", 3), ("base", 2), ("current", 1)])
def test_a_policy_disposes_after_every_grant(keep: Any, left: int) -> None:
    session = Session.create(MemoryStore(), tiny(), keep=keep)
    for person in (ANN, BOB):
        session.unlearn([person], SHORT)
    held = [h.name for h in session.store.holdings() if not h.disposed]
    assert len(held) == left
    assert session.current in held
    assert [r.kind for r in session.log].count("disposal") == {"all": 0, "base": 1, "current": 2}[
        keep
    ]
    assert session.erased == (1, 2)


def test_ids_can_be_deleted_and_nobody_comes_back(tiny_run: Path) -> None:
    session = Session.open(tiny_run, tiny())
    session.unlearn([ANN], SHORT, request="letter of Ann")
    session.unlearn([BOB], Ends(Status.NO_GAIN, 0.0), request="letter of Bob")
    head = session.head.hash
    record = session.purge("all", subjects=True)
    assert record is not None
    assert record.forgot
    ledger = (tiny_run / "ledger.sqlite").read_bytes()
    assert b"letter of Ann" not in ledger
    assert b"letter of Bob" in ledger  # who is still owed an answer
    again = Session.open(tiny_run, tiny())
    assert again.erased == (1,)
    assert again.log[1].ids is None
    assert again.log[1].count == 1
    with pytest.raises(BadRequest, match="already erased"):
        again.unlearn([ANN], SHORT)
    again.unlearn([BOB, EVE], SHORT, request="letter of Bob")
    second = again.purge("all", subjects=True)
    assert second is not None
    assert Session.open(tiny_run, tiny()).erased == (1, 2, 3)
    assert again.purge("all", subjects=True) is None
    assert verify(again.store, head=head) == (again.head, [])
