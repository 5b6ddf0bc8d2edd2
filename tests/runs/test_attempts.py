"""What is granted and what is only tried; retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from curenu.errors import BadRequest, Cancelled
from curenu.methods import FineTune, Retrain
from curenu.runs import Session
from curenu.runs.memory_store import MemoryStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import ANN, BOB, SHORT, TINY, Ends, state_of, tiny, vector


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


def test_a_progress_function_may_cancel_and_nothing_is_written(tiny_run: Path) -> None:
    session = Session.open(tiny_run, tiny())
    before = state_of(tiny_run)
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
        assert state_of(tiny_run) == before


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
