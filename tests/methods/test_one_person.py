"""The right to erasure of one person: a request of a single example moves the model, rightly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu import Checkpoint, TrainingTime
from curenu.errors import MissingData
from curenu.status import Status
from curenu.tasks import Task, load_task
from tests.problems import generator, initialised

REQUESTS = 50


def small() -> tuple[nn.Module, TensorDataset, TrainingTime]:
    """Three blobs in eight dimensions, and a float32 network trained on them to a small loss."""
    y = torch.arange(48) % 3
    x = torch.randn(3, 8, generator=generator(1))[y] + 0.7 * torch.randn(
        48, 8, generator=generator(2)
    )
    model = initialised(lambda: nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, TensorDataset(x, y), TrainingTime(75.0)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("method", ["stocurenu", "curenu"])
def test_every_request_of_one_example_moves_the_model(method: str) -> None:
    model, data, time = small()
    x, y = data.tensors
    before = functional.cross_entropy(model(x), y, reduction="none").detach()
    for one in (0, 7, 23, 47, int(before.argmin())):
        result = curenu.unlearn(
            model,
            data,
            "cross_entropy",
            forget=[one],
            method=method,
            weight_decay=1e-3,
            training=time,
        )
        assert not torch.equal(result.theta, flat(model))
        assert result.status.ok
        after = functional.cross_entropy(result.model(x), y, reduction="none").detach()
        assert after[one] > before[one]


def test_an_example_without_any_pull_leaves_nothing_to_do() -> None:
    """Zero input, zero target, no bias, no decay: every derivative is exactly zero."""
    x = torch.randn(12, 4, generator=generator(1))
    x[3] = 0.0
    y = torch.randn(12, 2, generator=generator(2))
    y[3] = 0.0
    model = initialised(lambda: nn.Linear(4, 2, bias=False)).float()
    result = curenu.unlearn(
        model, TensorDataset(x, y), "mse", forget=[3], training=TrainingTime(50.0)
    )
    assert result.status is Status.CONVERGED
    assert torch.equal(result.theta, flat(model))


def test_a_method_that_returns_the_start_is_not_ok() -> None:
    def nothing(net: nn.Module, *_: Any) -> nn.Module:
        return net

    model, data, _ = small()
    result = curenu.unlearn(
        model, data, "cross_entropy", forget=[5], method=nothing, weight_decay=1e-3
    )
    assert result.status is Status.UNMOVED
    assert not result.status.ok


def ask_for(
    task: Task, model: nn.Module, one: int, training: TrainingTime | None = None
) -> curenu.Unlearned:
    return curenu.unlearn(
        model,
        task.train,
        task.loss,
        forget=[one],
        weight_decay=task.recipe.weight_decay,
        training=training or task.training_time,
    )


def trained_without(
    task: Task, seed: int, left_out: list[int], kept_at: Sequence[float] = ()
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """The recipe's training in float64, once as it is and once without each of `left_out`.

    All trainings in step, the same batches in each; an example left out has its loss multiplied
    by zero where it comes up, so that nothing else differs. Parameters `[1 + m, ...]` by name,
    and those of the training as it is when its time had reached each of `kept_at`.
    """
    recipe = task.recipe
    assert (recipe.optimizer, recipe.schedule) == ("sgd", "cosine")
    x, y = (part.double() if part.is_floating_point() else part for part in task.train.tensors)  # type: ignore[attr-defined]
    model = task.initialise(seed).double()
    count = 1 + len(left_out)
    named = {n: p.detach().expand(count, *p.shape).clone() for n, p in model.named_parameters()}
    speed = {name: torch.zeros_like(value) for name, value in named.items()}
    kept = torch.ones(count, len(x), dtype=torch.float64)
    kept[torch.arange(1, count), left_out] = 0.0

    def loss(one: dict[str, Tensor], x: Tensor, y: Tensor, kept: Tensor) -> Tensor:
        each = functional.cross_entropy(functional_call(model, one, (x,)), y, reduction="none")
        return (kept * each).sum() / len(each)

    slope = vmap(grad(loss), in_dims=(0, None, None, 0))
    draw = generator(seed + 1)
    torch.randint(2**62, (), generator=draw)  # the seed of dropout, which there is none of
    total, done, time = recipe.steps(len(x)), 0, 0.0
    passed: list[dict[str, Tensor]] = []
    for _ in range(recipe.epochs):
        for ids in torch.randperm(len(x), generator=draw).split(recipe.batch_size):
            rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done / total))
            found = slope(named, x[ids], y[ids], kept[:, ids])
            for name, value in named.items():
                speed[name].mul_(recipe.momentum).add_(found[name] + recipe.weight_decay * value)
                value.sub_(rate * speed[name])
            done, time = done + 1, time + rate / (1 - recipe.momentum)
            if len(passed) < len(kept_at) and time >= kept_at[len(passed)]:
                passed.append({name: value[0].float() for name, value in named.items()})
    return named, passed


def own_loss(model: nn.Module, named: dict[str, Tensor], task: Task, one: int) -> float:
    x, y = task.train[one]
    wide = {name: value.double() for name, value in named.items()}
    outputs = functional_call(model, wide, (x.double()[None],))
    return float(functional.cross_entropy(outputs, y[None]))


@dataclass(frozen=True)
class LeftOut:
    """Digits trained as they are and without each of `chosen`: the true changes of own losses."""

    task: Task
    chosen: list[int]
    base: dict[str, Tensor]
    true: list[float]
    checkpoints: tuple[Checkpoint, ...]

    def predicted(self, training: TrainingTime) -> list[float]:
        model, wide = self.task.initialise(0), self.task.initialise(0).double()
        model.load_state_dict(self.base)
        changes = []
        for one in self.chosen:
            result = ask_for(self.task, model, one, training)
            assert not torch.equal(result.theta, flat(model)), one
            assert result.status.ok, (one, result.status)
            before = own_loss(wide, self.base, self.task, one)
            changes.append(own_loss(wide, result.state_dict(), self.task, one) - before)
        return changes

    def compared(self, training: TrainingTime) -> tuple[float, float]:
        """(rank correlation, median of predicted over true)."""
        predicted = self.predicted(training)
        ratio = float((torch.tensor(predicted) / torch.tensor(self.true)).median())
        return float(spearmanr(predicted, self.true).statistic), ratio


@pytest.fixture(scope="module")
def left_out() -> LeftOut:
    task = load_task("digits")
    chosen = torch.randperm(1437, generator=generator(1))[:REQUESTS].tolist()
    total = task.training_time.total
    assert total is not None
    times = [total / 6, total / 2, total * 5 / 6]
    trained, passed = trained_without(task, 0, chosen, times)
    base = {name: value[0].float() for name, value in trained.items()}
    usual = dict(task.train_model(0).named_parameters())
    for name, value in base.items():  # the loop above is the recipe's
        torch.testing.assert_close(value, usual[name].detach(), rtol=1e-2, atol=1e-3)
    wide, true = task.initialise(0).double(), []
    for place, one in enumerate(chosen, start=1):
        exact, without = (
            own_loss(wide, {n: v[row] for n, v in trained.items()}, task, one) for row in (0, place)
        )
        true.append(without - exact)
    checkpoints = tuple(Checkpoint(t, w) for t, w in zip(times, passed, strict=True))
    return LeftOut(task, chosen, base, true, checkpoints)


@pytest.mark.slow
def test_one_digit_changes_its_own_loss_as_retraining_without_it_does(left_out: LeftOut) -> None:
    rank, ratio = left_out.compared(left_out.task.training_time)
    print(f"digits, {REQUESTS} requests: Spearman {rank:.3f}, median predicted/true {ratio:.3f}")
    assert rank >= 0.97
    assert ratio >= 0.4


@pytest.mark.slow
def test_with_three_checkpoints_it_changes_as_much_as_retraining_does(left_out: LeftOut) -> None:
    training = replace(left_out.task.training_time, checkpoints=left_out.checkpoints)
    rank, ratio = left_out.compared(training)
    print(f"digits, three checkpoints: Spearman {rank:.3f}, median predicted/true {ratio:.3f}")
    assert rank >= 0.97
    assert 0.8 <= ratio <= 1.2


@pytest.mark.slow
def test_every_person_of_adult_can_be_erased_alone() -> None:
    try:
        task = load_task("adult", examples=3000)
    except MissingData as missing:
        pytest.skip(str(missing))
    model = task.train_model(0)
    moved = []
    for one in torch.randperm(3000, generator=generator(1))[:REQUESTS].tolist():
        result = ask_for(task, model, one)
        assert not torch.equal(result.theta, flat(model)), one
        assert result.status.ok, (one, result.status)
        moved.append(float((result.theta - flat(model)).norm()))
    print(f"adult, {REQUESTS} requests: moved by {min(moved):.3g} to {max(moved):.3g}")
