"""Several writers on one run: what one grants, the others see; of two at once one is granted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from curenu.errors import BadRequest, RunBroken, RunBusy, RunMoved
from curenu.methods import CuReNU, Retrain, StoCuReNU
from curenu.runs import Session
from curenu.runs.folder_store import FolderStore
from curenu.runs.identity import describe_method, method_of
from curenu.runs.memory_store import MemoryStore
from curenu.runs.verify import verify
from tests.runs.runs import (
    ANN,
    BOB,
    EVE,
    SHORT,
    Ends,
    add,
    granted,
    head_of,
    sql,
    state_of,
    tiny,
    vector,
    weights,
)


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


def test_a_session_sees_what_others_wrote_at_every_call(tiny_run: Path) -> None:
    first, second = Session.open(tiny_run, tiny()), Session.open(tiny_run, tiny())
    record = first.unlearn([ANN], SHORT).record
    assert second.erased == (1,)
    assert second.current == record.after
    assert torch.equal(vector(second.model), vector(first.model))
    sql(tiny_run, "DELETE FROM evidence WHERE number = 1")
    with pytest.raises(RunBroken, match="no longer what it was"):
        _ = first.erased


def test_an_oracle_is_trained_while_others_may_write(tiny_run: Path) -> None:
    session, other = Session.open(tiny_run, tiny()), Session.open(tiny_run, tiny())
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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["holder first", "intruder first"])
def test_where_the_lock_file_was_deleted_only_the_first_of_two_writers_commits(
    store: FolderStore, order: tuple[int, int]
) -> None:
    writers = (store, FolderStore(store.folder))
    head = head_of(store)
    with store.exclusive():
        (store.folder / "lock").unlink()
        with writers[1].exclusive():  # which the lock no longer keeps out
            first, second = (writers[place] for place in order)
            first.commit(granted(head), [weights(2)], head=head.hash)
            after = state_of(store.folder)
            with pytest.raises(RunMoved, match="The run is at record 2"):
                second.commit(granted(head), [weights(2)], head=head.hash)
            assert state_of(store.folder) == after
    assert len(store.lines()) == 3
    assert verify(store) == (head_of(store), [])


def hold(folder: Path, held: Any, stay: Any) -> None:
    with FolderStore(folder).exclusive():
        held.set()
        stay.wait(60)


def test_only_one_process_writes_and_a_killed_one_leaves_no_lock(store: FolderStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, stay = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(store.folder, held, stay))
    other.start()
    assert held.wait(60)
    with pytest.raises(RunBusy, match="in use"), store.exclusive():
        pytest.fail("two writers")
    other.kill()
    other.join(60)
    with store.exclusive():
        add(store)
    assert len(store.lines()) == 3
