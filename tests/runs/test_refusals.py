"""What a run refuses, and that its folder stays as it was."""

from __future__ import annotations

import dataclasses
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
from curenu.methods import CuReNU, FineTune
from curenu.runs.session import Session
from curenu.tasks import Task, load_task
from tests.runs.runs import SHORT, SIZE, sample_task, state_of, vector


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
        ({"only": 3}, BadRequest, "only= has a int"),
        ({"only": lambda name: True}, BadRequest, "only= has a function"),
        ({"seed": 2**70}, BadRequest, "seed="),
        ({"seed": "1"}, BadRequest, "seed="),
        ({"check_drift": 1.5}, BadRequest, "check_drift="),
        ({"check_drift": -1}, BadRequest, "check_drift="),
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


def test_a_task_that_cannot_be_unlearned_leaves_the_folder(tmp_path: Path) -> None:
    task = sample_task(loss=once)
    task = dataclasses.replace(task, recipe=dataclasses.replace(task.recipe, epochs=1))
    session = Session.create(tmp_path / "run", task)
    before = state_of(tmp_path / "run")
    with pytest.raises(UnsupportedModel, match="twice"):
        session.unlearn([1], CuReNU(max_steps=1))
    assert state_of(tmp_path / "run") == before


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


def other_network(task: Task) -> Task:
    return dataclasses.replace(task, build=lambda: nn.Sequential(nn.Linear(64, 10)))


def other_recipe(task: Task) -> Task:
    return dataclasses.replace(task, recipe=dataclasses.replace(task.recipe, weight_decay=0.5))


def permuted(task: Task) -> Task:
    x, y = task.train[:]  # type: ignore[misc]
    order = torch.arange(SIZE)
    order[5:700] = order[5:700].flip(0)
    return dataclasses.replace(task, train=TensorDataset(x[order], y[order]))


def shorter(task: Task) -> Task:
    x, y = task.train[:]  # type: ignore[misc]
    return dataclasses.replace(task, train=TensorDataset(x[1:], y[1:]))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (other_network, "Changed: the network."),
        (other_recipe, r"Changed: the recipe \(weight_decay was 0.001, is 0.5\)."),
        (permuted, "Changed: the training data; the labels."),
        (shorter, "Changed: the training data; the labels."),
        (lambda task: dataclasses.replace(task, loss=once), "the loss .was cross_entropy"),
        (lambda task: dataclasses.replace(task, ids=list(range(SIZE))[::-1]), "ids or groups"),
    ],
)
def test_a_run_does_not_open_on_another_problem_and_says_what_changed(
    folder: Path, changed: Callable[[Task], Task], words: str
) -> None:
    before = state_of(folder)
    with pytest.raises(RunBroken, match=words):
        Session.open(folder, changed(load_task("digits")))
    assert state_of(folder) == before


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
    with pytest.raises(BadRequest, match="seed="):
        Session.create(tmp_path / "new", sample_task(), seed=2**70)
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
