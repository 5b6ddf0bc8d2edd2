"""Checkpoints of training in a run: on record, followed, disposed of with what they saw."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from curenu.checkpoints import Checkpoint
from curenu.erasure import ErasureProblem
from curenu.errors import BadRequest, RunBroken
from curenu.methods import RewindToDelete, StoCuReNU
from curenu.newton.tuning import Tuning
from curenu.recorder import TrainingRecorder
from curenu.runs import Session
from curenu.runs.memory_store import MemoryStore
from curenu.runs.verify import verify
from curenu.tasks import Recipe, Task
from tests.runs.runs import ANN, BOB, EVE, tiny

STOCURENU = StoCuReNU(tuning=Tuning(most_cost=1e6))


def kept(session: Session) -> list[Checkpoint]:
    return list(session.training.checkpoints)


def files(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "weights").glob("*.safetensors")}


def test_those_of_training_are_what_a_recorder_keeps(tmp_path: Path) -> None:
    recorders: list[TrainingRecorder] = []
    task = tiny()
    task.train_model(
        4, watch=lambda *watched: recorders.append(TrainingRecorder(*watched, checkpoints=3))
    )
    expected = recorders[0].training_time()
    Session.create(tmp_path / "run", task, seed=4, checkpoints=3)
    session = Session.open(tmp_path / "run", task)
    found = kept(session)
    assert len(found) == len(expected.checkpoints) == 2  # of six steps
    share = session.training.total / expected.total  # type: ignore[operator]
    for one, other in zip(found, expected.checkpoints, strict=True):
        assert one.time == pytest.approx(share * other.time)
        assert isinstance(one.weights, dict)
        assert isinstance(other.weights, dict)
        assert one.weights.keys() == other.weights.keys()
        assert all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)
    on_record = {passed.weights for passed in session.record(0).checkpoints}
    assert files(tmp_path / "run") == on_record | {session.current}
    assert verify(session.store) == (session.head, [])


def test_a_request_follows_them_and_says_so() -> None:
    session = Session.create(MemoryStore(), tiny(), checkpoints=3)
    request = session.prepare([ANN], STOCURENU)
    assert [one.time for one in request.problem.training.checkpoints] == [
        passed.time for passed in session.passed
    ]
    by_hand = _erased_by_hand(session, request.problem)
    made = session.unlearn([ANN], STOCURENU, seed=5, accept=True)
    assert "along training, 2 checkpoints" in " ".join(made.record.notes)
    theta = session.risk(made.model).start
    torch.testing.assert_close(theta, by_hand, rtol=1e-5, atol=1e-7)
    without = Session.create(MemoryStore(), tiny())
    plain = without.unlearn([ANN], STOCURENU, seed=5, accept=True).model
    assert not torch.allclose(without.risk(plain).start, theta, rtol=1e-2)


def _erased_by_hand(session: Session, problem: ErasureProblem) -> torch.Tensor:
    """The same erasure of a problem whose training was given, not read from the run."""
    training = dataclasses.replace(
        session.task.training_time,
        checkpoints=tuple(
            Checkpoint(passed.time, session.store.weights(passed.weights))
            for passed in session.record(0).checkpoints
        ),
    )
    other = dataclasses.replace(problem, training=training)
    return STOCURENU(other, generator=torch.Generator().manual_seed(5)).theta


def test_rewinding_starts_from_the_first_of_them() -> None:
    without = Session.create(MemoryStore(), tiny())
    with pytest.raises(BadRequest, match="no weights to rewind to"):
        without.unlearn([ANN], RewindToDelete())
    session = Session.create(MemoryStore(), tiny(), checkpoints=2)
    assert session.unlearn([ANN], RewindToDelete(), accept=True).record.granted


@pytest.mark.parametrize(("keep", "there"), [("all", 2), ("base", 2), ("current", 0)])
def test_they_stay_as_long_as_the_weights_that_were_trained(keep: str, there: int) -> None:
    session = Session.create(MemoryStore(), tiny(), keep=keep, checkpoints=2)  # type: ignore[arg-type]
    session.unlearn([ANN], STOCURENU, accept=True)
    assert len(kept(session)) == there
    session.unlearn([BOB], STOCURENU, accept=True)
    assert len(kept(session)) == there


def test_a_purge_removes_their_files(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "run", tiny(), checkpoints=2)
    session.unlearn([ANN], STOCURENU, accept=True)
    names = {passed.weights for passed in session.passed}
    record = session.purge("base")
    assert record is None
    assert names <= files(tmp_path / "run")
    record = session.purge()
    assert record is not None
    assert names < {gone.name for gone in record.disposed}
    assert files(tmp_path / "run") == {session.current}
    assert kept(session) == []
    assert verify(session.store) == (session.head, [])
    assert session.unlearn([EVE], STOCURENU, accept=True).record.granted


def test_a_retraining_keeps_its_own_and_the_old_ones_go(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "run", tiny(), checkpoints=2)
    session.unlearn([ANN], STOCURENU, accept=True)
    old = {passed.weights for passed in session.passed}
    session.retrain()
    new = {passed.weights for passed in session.passed}
    assert len(new) == 2
    assert not old & new
    session.purge("base")
    assert files(tmp_path / "run") == new | {session.current}


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_one_that_was_tampered_with_is_found(how: str, tmp_path: Path) -> None:
    session = Session.create(tmp_path / "run", tiny(), checkpoints=2)
    name = session.passed[0].weights
    path = tmp_path / "run" / "weights" / f"{name}.safetensors"
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    _, faults = verify(session.store)
    assert any(name in fault for fault in faults)
    before = session.current
    with pytest.raises(RunBroken, match=name[:12]):
        session.unlearn([ANN], STOCURENU)
    assert session.current == before
    assert session.next_number == 1


def test_training_by_adam_and_of_one_step_keep_what_they_can() -> None:
    adam = dataclasses.replace(tiny(), recipe=Recipe(2, 8, 0.01, "adam"))
    assert kept(Session.create(MemoryStore(), adam, checkpoints=3)) == []
    once: Task = dataclasses.replace(tiny(), recipe=Recipe(1, 24, 0.1))
    session = Session.create(MemoryStore(), once, checkpoints=3)
    assert len(kept(session)) == 1
    assert kept(session)[0].time <= (session.training.total or 0.0)


@pytest.mark.parametrize("count", [-1, 2.5, "many"])
def test_counts_that_are_none_are_refused_before_training(count: object, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="checkpoints"):
        Session.create(tmp_path / "run", tiny(), checkpoints=count)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
