"""A sequence of requests on one run: what is granted, refused, resumed and kept."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import Subset

from curenu.errors import BadRequest
from curenu.methods import CuReNU, DampedNewton, FineTune, Retrain, StoCuReNU
from curenu.runs.records import digest
from curenu.runs.session import Session
from curenu.tasks import load_task
from tests.runs.runs import SHORT, SIZE, TINY, sample_task, state_of, tiny, vector


def test_a_new_run_holds_the_trained_model(folder: Path) -> None:
    session = Session.open(folder)
    assert session.erased == ()
    assert session.description.examples == SIZE
    expected = load_task("digits").train_model(1)
    torch.testing.assert_close(vector(session.model), vector(expected), rtol=0, atol=0)
    assert session.description.recipe["weight_decay"] == session.task.recipe.weight_decay


def test_the_retain_set_is_what_no_request_ever_erased(folder: Path) -> None:
    Session.open(folder).unlearn([3, 5], SHORT)
    session = Session.open(folder)
    asked = session.prepare([7], SHORT)
    assert asked.problem.forget.size == 1
    assert asked.problem.retain.size == SIZE - 3
    session.unlearn([7], SHORT)
    assert session.erased == (3, 5, 7)
    assert set(session.retained).isdisjoint({3, 5, 7})
    assert session.retained_before(2) == [p for p in range(SIZE) if p not in (3, 5)]


def test_a_request_moves_the_model_and_is_on_record(folder: Path) -> None:
    session = Session.open(folder)
    before = vector(session.model)
    result = session.unlearn(
        [0, 1, 2], StoCuReNU(max_steps=1, sample_size=64, certificate_products=3)
    )
    record = result.record
    assert not torch.equal(vector(result.model), before)
    assert record.update_norm == pytest.approx(
        float((vector(result.model) - before).double().norm()), rel=1e-5
    )
    assert record.method == "stocurenu"
    assert record.arguments["sample_size"] == 64
    assert record.arguments["solver"]["type"] == "LanczosSolver"
    assert record.cost.hvps > 0
    assert record.certificate is not None
    again = Session.open(folder)
    assert again.records == (record,)
    torch.testing.assert_close(vector(again.model), vector(result.model), rtol=0, atol=0)
    torch.testing.assert_close(vector(again.first_model), before, rtol=0, atol=0)


def test_a_sequence_is_the_same_whether_or_not_the_run_is_closed_between(
    folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    open_all_along = Session.open(folder)
    for wanted in ([1, 2], [3]):
        open_all_along.unlearn(wanted, StoCuReNU(max_steps=1, sample_size=50))
        Session.open(other).unlearn(wanted, StoCuReNU(max_steps=1, sample_size=50))
    first, second = open_all_along.records, Session.open(other).records
    assert [r.after for r in first] == [r.after for r in second]
    assert first[0].seed != first[1].seed


def test_two_sessions_on_one_run_see_each_other(folder: Path) -> None:
    first, second = Session.open(folder), Session.open(folder)
    first.unlearn([1], SHORT)
    with pytest.raises(BadRequest, match="already erased"):
        second.unlearn([1], SHORT)
    second.unlearn([2], SHORT)
    assert second.erased == (1, 2)


def test_the_same_request_twice_is_granted_once(folder: Path) -> None:
    session = Session.open(folder)
    first = session.unlearn([4, 9], SHORT, request="letter 17")
    later = session.unlearn([5], SHORT)
    before = state_of(folder)
    again = session.unlearn([9, 4], SHORT, request="letter 17")
    assert again.repeated
    assert again.record == first.record
    torch.testing.assert_close(vector(again.model), vector(later.model), rtol=0, atol=0)
    assert again.head == later.head
    with pytest.raises(BadRequest, match="for other ids"):
        session.unlearn([4], SHORT, request="letter 17")
    with pytest.raises(BadRequest, match="as record 1, with method fine-tune, not curenu"):
        session.unlearn([4, 9], CuReNU(), request="letter 17")
    with pytest.raises(BadRequest, match=f"seed {first.record.seed}, not 3"):
        session.unlearn([4, 9], SHORT, request="letter 17", seed=3)
    with pytest.raises(BadRequest, match="epochs 1, not 2"):
        session.unlearn([4, 9], FineTune(epochs=2), request="letter 17")
    assert session.unlearn([4, 9], SHORT, request="letter 17", seed=first.record.seed).repeated
    assert state_of(folder) == before
    assert later.record.request == "request-2"


def test_a_request_left_without_a_name_never_takes_a_given_one(folder: Path) -> None:
    session = Session.open(folder)
    session.unlearn([1], SHORT, request="request-2")
    assert session.unlearn([2], SHORT).record.request == "request-3"


def test_a_seed_given_is_the_seed_used(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    method = StoCuReNU(objective="retain", max_steps=1, sample_size=20)
    names = {
        Session.open(run).unlearn([1], method, seed=seed).record.after
        for run, seed in ((folder, 5), (other, 6))
    }
    assert len(names) == 2
    assert Session.open(folder).records[0].seed == 5


def test_only_the_parameters_asked_for_move(folder: Path) -> None:
    session = Session.open(folder)
    before = dict(session.model.named_parameters())
    name = list(before)[-1]
    result = session.unlearn([1, 2], SHORT, only=name)
    moved = {
        key for key, value in result.model.named_parameters() if not torch.equal(value, before[key])
    }
    assert moved == {name}
    assert result.record.only == name


def test_retraining_is_the_recipe_on_what_stays(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    session = Session.open(folder)
    result = session.unlearn([1, 2], Retrain(), progress=lambda *step: told.append(step))
    assert told
    assert result.record.method == "retrain"
    assert result.record.update_norm > 1


def test_progress_never_exceeds_the_plan_and_grows(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    Session.open(folder).unlearn([1], SHORT, progress=lambda *step: told.append(step))
    assert told[-1][0] <= told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_oracles_are_trained_once_for_what_is_retained(folder: Path) -> None:
    session = Session.open(folder)
    session.unlearn([1, 2], SHORT)
    calls: list[int] = []
    first = session.oracle(0, progress=lambda *_: calls.append(1))
    assert calls
    expected = session.task.train_model(first.seed, ids=session.retained)
    torch.testing.assert_close(vector(first.model), vector(expected), rtol=0, atol=0)
    kept = Session.open(folder).oracle(0, progress=lambda *_: pytest.fail("trained again"))
    torch.testing.assert_close(vector(kept.model), vector(first.model), rtol=0, atol=0)
    assert kept.seconds == first.seconds > 0
    other = session.oracle(1)
    assert other.seed != first.seed
    session.unlearn([3], SHORT)
    assert not torch.equal(vector(session.oracle(0).model), vector(first.model))


def test_the_names_of_a_task_are_understood_and_kept(tmp_path: Path) -> None:
    names = [f"person {i}" for i in range(SIZE)]
    task = sample_task(ids=names)
    session = Session.create(tmp_path / "run", task)
    record = session.unlearn(["person 7", "person 3"], SHORT).record
    assert record.positions == (3, 7)
    assert record.ids == ("person 3", "person 7")
    with pytest.raises(BadRequest, match="already erased, first 'person 7'"):
        session.unlearn(["person 7"], SHORT)


def test_a_person_shown_twice_in_training_is_forgotten_by_both_names(tmp_path: Path) -> None:
    task = tiny()
    twice = dataclasses.replace(
        task, train=Subset(task.train, [*range(TINY), 3]), ids=[*task.ids, "person 3 again"]
    )
    session = Session.create(tmp_path / "run", twice)
    with pytest.raises(BadRequest, match="person 3, person 3 again"):
        session.unlearn(["person 3"], SHORT)
    assert len(session.retained) == TINY + 1
    assert len(session.retained) == TINY + 1
    record = session.unlearn(["person 3", "person 3 again"], SHORT).record
    assert record.positions == (3, TINY)


def test_a_newton_step_is_on_record_with_its_damping(folder: Path) -> None:
    method = DampedNewton(damping=0.5, max_products=5)
    record = Session.open(folder).unlearn([1], method).record
    assert record.arguments["damping"] == 0.5
    assert record.trace[0].damping == 0.5


def test_weights_are_named_by_their_content(folder: Path) -> None:
    after = Session.open(folder).unlearn([1], SHORT).record.after
    assert digest((folder / "weights" / f"{after}.safetensors").read_bytes()) == after
