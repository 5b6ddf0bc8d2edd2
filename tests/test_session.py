"""A sequence of requests on one run: what is granted, refused, resumed and kept."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.errors import (
    BadRequest,
    CurenuError,
    IllPosed,
    NotDeterministic,
    RunBroken,
    UnsupportedModel,
)
from curenu.methods import CuReNU, DampedNewton, FineTune, Retrain, StoCuReNU
from curenu.records import digest, pack
from curenu.session import Session
from curenu.tasks import Task, load_task
from tests.test_store import state_of

SIZE = 1437
SHORT = FineTune(epochs=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    Session.create(folder, "digits", seed=1)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def vector(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


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
    result = session.unlearn([0, 1, 2], StoCuReNU(max_steps=1, sample_size=64))
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
    again = session.unlearn([9, 4], CuReNU(), request="letter 17")
    assert again.repeated
    assert again.record == first.record
    torch.testing.assert_close(vector(again.model), vector(first.model), rtol=0, atol=0)
    with pytest.raises(BadRequest, match="for other ids"):
        session.unlearn([4], SHORT, request="letter 17")
    assert state_of(folder) == before
    assert later.record.request == "request-2"


def test_a_request_left_without_a_name_never_takes_a_given_one(folder: Path) -> None:
    session = Session.open(folder)
    session.unlearn([1], SHORT, request="request-2")
    assert session.unlearn([2], SHORT).record.request == "request-3"


def test_a_seed_given_is_the_seed_used(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    method = StoCuReNU(max_steps=1, sample_size=20)
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


class Explodes:
    """A method that ends in NaN."""

    def plan(self, problem: Any) -> Any:
        return SHORT.plan(problem)

    def __call__(self, problem: Any, *, generator: torch.Generator) -> Any:
        erasure = SHORT(problem, generator=generator)
        return dataclasses.replace(erasure, theta=erasure.theta * float("nan"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"forget": []}, BadRequest, "empty"),
        ({"forget": [1, 1]}, BadRequest, "repeated"),
        ({"forget": [SIZE]}, BadRequest, "unknown"),
        ({"forget": [-1]}, BadRequest, "unknown"),
        ({"forget": ["one"]}, BadRequest, "no position"),
        ({"forget": [11]}, BadRequest, "already erased"),
        ({"forget": [p for p in range(SIZE) if p != 11]}, BadRequest, "no example to retain"),
        ({"method": "magic"}, BadRequest, "No method"),
        ({"only": "nowhere"}, BadRequest, "matches no parameter"),
        ({"method": Explodes()}, IllPosed, "NaN or Inf"),
        ({"method": FineTune(learning_rate=1e30, epochs=3)}, IllPosed, "diverged|NaN"),
    ],
)
def test_a_refused_request_leaves_the_folder_byte_for_byte(
    folder: Path, arguments: dict[str, Any], error: type[CurenuError], words: str
) -> None:
    session = Session.open(folder)
    session.unlearn([11], SHORT)
    before, model = state_of(folder), session.model
    with pytest.raises(error, match=words) as caught:
        session.unlearn(**({"forget": [1], "method": SHORT} | arguments))
    assert caught.value.remedy
    assert state_of(folder) == before
    assert session.model is model or torch.equal(vector(session.model), vector(model))
    session.unlearn([1], SHORT)  # and the run goes on
    assert session.erased == (1, 11)


def sample_task(**changes: Any) -> Task:
    return dataclasses.replace(load_task("digits"), **changes)


class Drifting(TensorDataset):
    """Every reading differs from the one before, as random augmentation makes it."""

    readings = 0

    def __getitem__(self, index: Any) -> Any:
        self.readings += 1
        x, y = super().__getitem__(index)
        return x + self.readings, y


class Dropping(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.inner(x), 0.5)


def once(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return Once.apply(outputs)  # type: ignore[no-any-return]


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.square().mean(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return 2 * ctx.saved_tensors[0] * grad[:, None] / ctx.saved_tensors[0].shape[1]


def not_a_number(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return outputs.sum(1) * float("nan")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda t: dataclasses.replace(t, loss=once), UnsupportedModel, "twice"),
        (lambda t: dataclasses.replace(t, loss=not_a_number), IllPosed, "NaN or Inf"),
    ],
)
def test_a_task_that_cannot_be_unlearned_leaves_the_folder(
    folder: Path, spoil: Callable[[Task], Task], error: Any, words: str
) -> None:
    before = state_of(folder)
    with torch.random.fork_rng(), pytest.raises(error, match=words):
        Session.open(folder, spoil(sample_task())).unlearn([1], CuReNU(max_steps=1))
    assert state_of(folder) == before


def test_what_no_request_could_use_is_refused_before_training(tmp_path: Path) -> None:
    task = load_task("digits")
    drifting = Drifting(*task.train[:])  # type: ignore[misc]
    for changes, error, words in (
        ({"train": drifting}, NotDeterministic, "augmentation"),
        ({"build": lambda: Dropping(task.build())}, NotDeterministic, "dropout"),
        ({"build": lambda: task.build().requires_grad_(False)}, UnsupportedModel, "unfreeze"),
        ({"loss": not_a_number}, IllPosed, "(?i)nan"),
        ({"loss": "hinge"}, BadRequest, "No loss"),
    ):
        with torch.random.fork_rng(), pytest.raises(error, match=words):
            Session.create(tmp_path / "run", dataclasses.replace(task, **changes))
        assert not (tmp_path / "run").exists()


def test_weights_with_nan_are_refused(folder: Path) -> None:
    session = Session.open(folder)
    broken = dict(session.model.state_dict())
    name = next(iter(broken))
    broken[name] = broken[name] * float("nan")
    packed = pack(broken)
    (folder / "weights" / f"{packed.name}.safetensors").write_bytes(packed.content)
    text = (folder / "task.toml").read_text()
    (folder / "task.toml").write_text(text.replace(session.description.start, packed.name))
    before = state_of(folder)
    with pytest.raises(IllPosed, match=f"weights of {name}"):
        Session.open(folder).unlearn([1], SHORT)
    assert state_of(folder) == before


def test_weights_of_another_network_do_not_fit(folder: Path) -> None:
    before = state_of(folder)
    task = load_task("digits")
    small = dataclasses.replace(task, build=lambda: nn.Sequential(nn.Linear(64, 10)))
    with pytest.raises(RunBroken, match="do not fit the task's network"):
        Session.open(folder, small)
    assert state_of(folder) == before


def test_other_training_data_are_noticed(folder: Path) -> None:
    task = load_task("digits")
    x, y = task.train[:]  # type: ignore[misc]
    for other in (TensorDataset(x[1:], y[1:]), TensorDataset(x.flip(0), y.flip(0))):
        with pytest.raises(RunBroken, match="not those of this run"):
            Session.open(folder, dataclasses.replace(task, train=other))


@pytest.mark.parametrize("positions", [[SIZE], [-1]])
def test_a_ledger_that_erases_what_is_not_there_is_refused(
    folder: Path, positions: list[int]
) -> None:
    Session.open(folder).unlearn([1], SHORT)
    ledger = folder / "requests.jsonl"
    content = json.loads(ledger.read_text())
    ledger.write_text(json.dumps(content | {"positions": positions}) + "\n")
    with pytest.raises(RunBroken, match="does not have"):
        Session.open(folder)


def test_a_run_of_an_object_needs_the_object_again(tmp_path: Path) -> None:
    task = sample_task()
    Session.create(tmp_path / "run", task)
    with pytest.raises(BadRequest, match="as an object"):
        Session.open(tmp_path / "run")
    assert Session.open(tmp_path / "run", task).erased == ()


def test_a_run_is_not_trained_where_something_lies(folder: Path, tmp_path: Path) -> None:
    def never(*_: Any) -> None:
        pytest.fail("trained before the folder was looked at")

    before = state_of(folder)
    with pytest.raises(RunBroken, match="already holds a run"):
        Session.create(folder, "digits", progress=never)
    assert state_of(folder) == before
    with pytest.raises(BadRequest):
        Session.create(tmp_path / "new", "no-such-task")
    assert not (tmp_path / "new").exists()


def test_training_that_diverges_writes_nothing(tmp_path: Path) -> None:
    def broken() -> nn.Module:
        model = nn.Linear(64, 10)
        with torch.no_grad():
            model.weight.fill_(float("nan"))
        return model

    with pytest.raises(IllPosed):
        Session.create(tmp_path / "run", sample_task(build=broken))
    assert not (tmp_path / "run").exists()


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


def test_a_newton_step_is_on_record_with_its_damping(folder: Path) -> None:
    method = DampedNewton(damping=0.5, max_products=5)
    record = Session.open(folder).unlearn([1], method).record
    assert record.arguments["damping"] == 0.5
    assert record.trace[0].damping == 0.5


def test_weights_are_named_by_their_content(folder: Path) -> None:
    after = Session.open(folder).unlearn([1], SHORT).record.after
    assert digest((folder / "weights" / f"{after}.safetensors").read_bytes()) == after
