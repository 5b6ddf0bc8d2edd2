"""What is granted and what is only tried; retraining; what goes and what stays possible."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curenu.errors import BadRequest, Cancelled, Disposed, RunBroken, RunMoved
from curenu.methods import CuReNU, FineTune, Retrain, StoCuReNU
from curenu.runs import Session
from curenu.runs.identity import describe_method, method_of
from curenu.runs.memory_store import MemoryStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import SHORT, TINY, Ends, sql, state_of, tiny, vector

ANN, BOB, EVE = "person 1", "person 2", "person 3"


@pytest.fixture
def session() -> Session:
    return Session.create(MemoryStore(), tiny())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Session.create(tmp_path / "run", tiny())
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("method", "status"),
    [
        (Ends(Status.NO_GAIN, 0.0), Status.NO_GAIN),
        (Ends(Status.STALLED, 0.01), Status.STALLED),
        (Ends(Status.SCHEDULE_DONE, 0.0), Status.UNMOVED),
        (Ends(Status.SCHEDULE_DONE, 1e-12), Status.UNMOVED),
        (FineTune(epochs=3, learning_rate=300.0), Status.DIVERGED),
    ],
)
def test_what_is_not_ok_is_an_attempt_that_erases_nobody(
    session: Session, method: Any, status: Status
) -> None:
    before = vector(session.model)
    result = session.unlearn([ANN], method, request="letter")
    assert (result.granted, result.record.status) == (False, status)
    assert result.record.after == result.record.before == session.current
    assert torch.equal(vector(result.model), before)
    assert session.erased == ()
    assert session.record_of("letter") is None
    again = session.unlearn([ANN], SHORT, request="letter")
    assert (again.granted, again.repeated, session.erased) == (True, False, (1,))
    assert [record.granted for record in session.log] == [False, False, True]
    assert [record.number for record in session.records] == [2]
    assert verify(session.store) == (session.head, [])


def test_a_method_that_says_there_was_nothing_to_erase_is_not_believed_where_examples_pull(
    session: Session,
) -> None:
    result = session.unlearn([ANN], Ends(Status.CONVERGED, 0.0))
    assert (result.granted, session.erased) == (False, ())
    assert result.record.status is Status.UNMOVED


def test_what_a_person_accepts_is_granted_and_the_record_says_so(session: Session) -> None:
    record = session.unlearn([ANN], Ends(Status.NO_GAIN, 0.0), accept=True).record
    assert (record.granted, record.accepted, record.status) == (True, True, Status.NO_GAIN)
    assert "not ok" in record.notes[-1]
    assert session.erased == (1,)
    assert not session.unlearn([BOB], SHORT, accept=True).record.accepted


def test_divergence_is_told_from_an_erasure_by_the_examples_that_stay(session: Session) -> None:
    looked = session.unlearn([ANN], SHORT).record.looked
    assert looked is not None
    retain = session.risk(session.model).subset(session.retained)
    assert looked.value_after == pytest.approx(float(retain.value(retain.start)), rel=1e-5)
    assert looked.examples == TINY - 1
    spoilt = session.unlearn([BOB], FineTune(epochs=3, learning_rate=300.0)).record.looked
    assert spoilt is not None
    gained = spoilt.value_untrained - spoilt.value_before
    assert spoilt.value_after - spoilt.value_before > 0.5 * gained


def test_retraining_leaves_out_what_was_erased_and_begins_anew(session: Session) -> None:
    session.unlearn([ANN], SHORT)
    failed = session.unlearn([BOB], Ends(Status.NO_GAIN, 0.0)).record.number
    plain = session.retrain(seed=5)
    expected = session.task.train_model(5, ids=[p for p in range(TINY) if p != 1])
    assert torch.equal(vector(plain.model), vector(expected))
    assert (plain.record.kind, plain.record.granted, plain.record.count) == ("retrain", True, 0)
    assert session.erased == (1,)
    without = session.retrain(without=[failed])
    assert (without.record.ids, session.erased) == ((BOB,), (1, 2))
    assert without.record.without == (failed,)
    assert session.base == without.record.number
    assert torch.equal(vector(session.base_model), vector(session.model))
    with pytest.raises(BadRequest, match="already erased"):
        session.unlearn([BOB], SHORT)
    for wrong in ([1], [99]):
        with pytest.raises(BadRequest, match="no failed attempt|no record"):
            session.retrain(without=wrong)
    assert verify(session.store) == (session.head, [])


def test_a_retry_gives_the_current_model_and_says_where_it_was_granted(session: Session) -> None:
    first = session.unlearn([ANN], SHORT, request="a")
    second = session.unlearn([BOB], SHORT, request="b")
    again = session.unlearn([ANN], SHORT, request="a")
    assert (again.repeated, again.record.number) == (True, first.record.number)
    assert torch.equal(vector(again.model), vector(second.model))
    assert not torch.equal(vector(again.model), vector(first.model))


@pytest.mark.parametrize("name", ["", "  "])
def test_a_request_without_a_letter_in_its_name_is_refused(session: Session, name: str) -> None:
    with pytest.raises(BadRequest, match="name is empty"):
        session.unlearn([ANN], SHORT, request=name)


def test_models_that_saw_what_was_erased_go_and_the_run_goes_on(folder: Path) -> None:
    session = Session.open(folder, tiny())
    session.oracle(0)
    for person in (ANN, BOB):
        session.unlearn([person], StoCuReNU(max_steps=1), accept=True)
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
    files = {path.stem for path in folder.glob("*/*.safetensors")}
    assert files == {name.removesuffix(".safetensors") for _, name in left}
    assert session.purge() is None
    with pytest.raises(Disposed, match="disposed of"):
        _ = session.first_model
    with pytest.raises(Disposed):
        session.unlearn([EVE], StoCuReNU(max_steps=1), anchor="first")
    after = Session.open(folder, tiny()).unlearn([EVE], StoCuReNU(max_steps=1), accept=True).record
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


def test_ids_can_be_deleted_and_nobody_comes_back(folder: Path) -> None:
    session = Session.open(folder, tiny())
    session.unlearn([ANN], SHORT, request="letter of Ann")
    session.unlearn([BOB], Ends(Status.NO_GAIN, 0.0), request="letter of Bob")
    head = session.head.hash
    record = session.purge("all", subjects=True)
    assert record is not None
    assert record.forgot
    ledger = (folder / "ledger.sqlite").read_bytes()
    assert b"letter of Ann" not in ledger
    assert b"letter of Bob" in ledger  # who is still owed an answer
    again = Session.open(folder, tiny())
    assert again.erased == (1,)
    assert again.log[1].ids is None
    assert again.log[1].count == 1
    with pytest.raises(BadRequest, match="already erased"):
        again.unlearn([ANN], SHORT)
    again.unlearn([BOB, EVE], SHORT, request="letter of Bob")
    second = again.purge("all", subjects=True)
    assert second is not None
    assert Session.open(folder, tiny()).erased == (1, 2, 3)
    assert again.purge("all", subjects=True) is None
    assert verify(again.store, head=head) == (again.head, [])


def test_a_progress_function_may_cancel_and_nothing_is_written(folder: Path) -> None:
    session = Session.open(folder, tiny())
    before = state_of(folder)
    calls: list[int] = []

    def cancel(done: int, total: int) -> bool:
        calls.append(done)
        return len(calls) < 2

    for run in (
        lambda: session.unlearn([ANN], FineTune(epochs=3), progress=cancel),
        lambda: session.unlearn([ANN], Retrain(), progress=cancel),
        lambda: session.retrain(progress=cancel),
        lambda: session.oracle(0, progress=cancel),
    ):
        calls.clear()
        with pytest.raises(Cancelled):
            run()
        assert len(calls) == 2
        assert state_of(folder) == before


def test_a_prepared_request_runs_elsewhere_with_the_same_result(tmp_path: Path) -> None:
    method = StoCuReNU(max_steps=1, sample_size=20)
    here = Session.create(MemoryStore(), tiny())
    text = here.prepare([ANN, BOB], method, request="letter").to_json()
    assert "person" not in text
    there = Session.open(here.store, tiny())
    result = there.perform(text, accept=True)
    assert result.record.ids == (ANN, BOB)
    alone = Session.create(MemoryStore(), tiny())
    assert alone.unlearn([ANN, BOB], method, request="letter", accept=True).record.after == (
        result.record.after
    )
    assert here.perform(text).repeated
    stale = here.prepare([EVE], method).to_json()
    here.unlearn(["person 4"], SHORT)
    with pytest.raises(RunMoved, match="preparing it again"):
        there.perform(stale)


@pytest.mark.parametrize("method", [CuReNU(), StoCuReNU(max_steps=3), SHORT, Retrain()])
def test_a_method_is_made_again_from_its_description(method: Any) -> None:
    name, arguments = describe_method(method)
    assert method_of(name, json.loads(json.dumps(arguments))) == method


def test_what_cannot_be_told_is_not_sent_elsewhere(session: Session) -> None:
    with pytest.raises(BadRequest, match="cannot be made from its description"):
        session.prepare([ANN], Ends()).to_json()


def test_a_session_sees_what_others_wrote_at_every_call(folder: Path) -> None:
    first, second = Session.open(folder, tiny()), Session.open(folder, tiny())
    record = first.unlearn([ANN], SHORT).record
    assert second.erased == (1,)
    assert second.current == record.after
    assert torch.equal(vector(second.model), vector(first.model))
    sql(folder, "DELETE FROM evidence WHERE number = 1")
    with pytest.raises(RunBroken, match="no longer what it was"):
        _ = first.erased


def test_an_oracle_is_trained_while_others_may_write(folder: Path) -> None:
    session, other = Session.open(folder, tiny()), Session.open(folder, tiny())
    written: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not written:
            written.append(None)
            written[0] = other.unlearn([ANN], SHORT).record

    session.oracle(0, progress=progress)
    assert written[0].granted
    assert session.erased == (1,)


def test_two_sessions_at_once_grant_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even without the lock, which only spares the second its work."""
    store = MemoryStore()
    first, second = Session.create(store, tiny()), Session.open(store, tiny())
    monkeypatch.setattr(store, "exclusive", contextlib.nullcontext)
    started: list[Any] = []

    def interleaved(done: int, total: int) -> None:
        if not started:
            started.append(None)
            second.unlearn([ANN], SHORT)

    with pytest.raises(RunMoved):
        first.unlearn([ANN, BOB], SHORT, progress=interleaved)
    assert first.erased == second.erased == (1,)
    assert verify(store) == (first.head, [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"seed": "x"}, "seed"), ({"options": {"a": [1]}}, "options"), ({"keep": "few"}, "keep")],
)
def test_what_cannot_be_kept_on_record_is_refused_before_training(
    changes: dict[str, Any], words: str
) -> None:
    def never(*_: Any) -> None:
        pytest.fail("trained first")

    with pytest.raises(BadRequest, match=words):
        Session.create(MemoryStore(), tiny(), progress=never, **changes)


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
    folder: Path, damage: Callable[[Path], Any], words: str
) -> None:
    session = Session.open(folder, tiny())
    for person in (ANN, BOB):
        session.unlearn([person], SHORT)
    damage(folder)
    with pytest.raises(RunBroken, match=words) as caught:
        Session.open(folder, tiny())
    assert caught.value.remedy
    assert verify(session.store)[1] != []


def test_ids_are_checked_against_the_task_on_opening(folder: Path) -> None:
    Session.open(folder, tiny()).unlearn([ANN], SHORT)
    renamed = [f"person {number}" for number in range(TINY)]
    renamed[1] = "somebody else"
    with pytest.raises(RunBroken, match="ids or groups"):
        Session.open(folder, dataclasses.replace(tiny(), ids=renamed))
