"""Σ rate / (1 − momentum) of torch's optimisers, from their settings and a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler

from curenu.errors import BadRequest
from curenu.risks import TrainingTime
from curenu.tasks import Recipe

STEPS = 40


def parameter(size: int = 2) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size, dtype=torch.float64))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr": 0.1}, 4.0),
        ({"lr": 0.1, "momentum": 0.9}, 40.0),
        ({"lr": 0.1, "momentum": 0.9, "nesterov": True}, 40.0),
        ({"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, 20.0),
        ({"lr": torch.tensor(0.1), "momentum": 0.9, "weight_decay": 0.1}, 40.0),
    ],
)
def test_a_constant_rate_of_sgd(settings: dict[str, Any], expected: float) -> None:
    time = TrainingTime.of(SGD([parameter()], **settings), steps=STEPS)
    assert time.total == pytest.approx(expected)
    assert time.adaptive_batch is None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.8},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.8, "dampening": 0.3},
    ],
)
def test_it_is_how_far_a_gradient_that_stays_the_same_leads(settings: dict[str, Any]) -> None:
    """Up to the momentum that still has to build up, or is left at the end."""
    one = parameter(1)
    optimizer = SGD([one], lr=0.01, **settings)
    for _ in range(4000):
        one.grad = torch.ones_like(one)
        optimizer.step()
    assert TrainingTime.of(optimizer, steps=4000).total == pytest.approx(-one.item(), rel=2e-3)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_adds_up_its_rates_and_needs_its_batch_size(kind: type[Optimizer]) -> None:
    optimizer = kind([parameter()], lr=0.01)  # type: ignore[call-arg]
    found = TrainingTime.of(optimizer, steps=STEPS, batch_size=16)
    assert (found.total, found.adaptive_batch) == (pytest.approx(0.4), 16)
    with pytest.raises(BadRequest, match="batch_size"):
        TrainingTime.of(optimizer, steps=STEPS)


SCHEDULERS: dict[str, Callable[[Optimizer], lr_scheduler.LRScheduler]] = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    "one cycle, momentum too": lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=STEPS),
    "warm-up, then cosine": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 5), lr_scheduler.CosineAnnealingLR(o, 35)], [5]
    ),
    "chained": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "by a function": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1.0 / (1 + step)),
}


def trained(optimizer: Optimizer, scheduler: Any, steps: int, each: int = 1) -> float:
    """Σ rate / (1 − momentum) of a loop that really steps."""
    total = 0.0
    for step in range(1, steps + 1):
        group = optimizer.param_groups[0]
        total += group["lr"] / (1.0 - group.get("momentum", 0.0))
        optimizer.step()
        if step < steps and step % each == 0:
            scheduler.step()
    return total


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_is_followed_and_left_as_it_is(name: str) -> None:
    optimizer = SGD([parameter()], lr=0.1, momentum=0.9)
    scheduler = SCHEDULERS[name](optimizer)
    before = {**optimizer.param_groups[0]}
    found = TrainingTime.of(optimizer, scheduler, steps=STEPS)
    assert optimizer.param_groups[0] == before
    assert found.total == pytest.approx(trained(optimizer, scheduler, STEPS))
    with pytest.raises(BadRequest, match="stepped already"):
        TrainingTime.of(optimizer, scheduler, steps=STEPS)


def test_a_rate_may_last_an_epoch() -> None:
    optimizer = SGD([parameter()], lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    found = TrainingTime.of(optimizer, scheduler, steps=38, steps_per_rate=10)
    assert found.total == pytest.approx(0.1 * (10 + 5 + 2.5 + 0.125 * 8))
    rates = [0.1, 0.05, 0.025, 0.0125]
    assert TrainingTime.of(optimizer, rates, steps=38, steps_per_rate=10) == found
    whole = TrainingTime.of(optimizer, rates, steps_per_rate=10)
    assert whole.total == pytest.approx(10 * sum(rates))
    assert trained(optimizer, scheduler, 38, 10) == pytest.approx(found.total)


def test_it_is_the_time_of_the_recipe_that_says_the_same() -> None:
    recipe = Recipe(5, 20, 0.05)
    optimizer = SGD([parameter()], lr=0.05, momentum=0.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps(100))
    found = TrainingTime.of(optimizer, scheduler, steps=recipe.steps(100), oracle="same_steps")
    assert found.total == pytest.approx(
        recipe.time(100).total, rel=1 / 20
    )  # it takes the mean rate
    assert found.oracle == "same_steps"


def test_groups_of_one_time_are_one_and_others_are_refused() -> None:
    groups = [{"params": [parameter()], "weight_decay": 0.1}, {"params": [parameter()]}]
    assert TrainingTime.of(SGD(groups, lr=0.1), steps=10).total == pytest.approx(1.0)
    apart = [{"params": [parameter()], "lr": 0.01}, {"params": [parameter()]}]
    with pytest.raises(BadRequest, match=r"0\.1, 1.*only="):
        TrainingTime.of(SGD(apart, lr=0.1), steps=10)
    apart[0]["params"][0].requires_grad_(False)  # type: ignore[index]
    assert TrainingTime.of(SGD(apart, lr=0.1), steps=10).total == pytest.approx(1.0)


class Own(SGD):
    """A user's optimiser, which may do anything to the gradient."""


@pytest.mark.parametrize(
    ("optimizer", "remedy"),
    [
        (torch.optim.LBFGS([parameter()]), "math.inf"),
        (torch.optim.RMSprop([parameter()]), "Adam or AdamW"),
        (Own([parameter()], lr=0.1), "Adam or AdamW"),
        (SGD([parameter()], lr=0.1, maximize=True), "sign"),
        (Adam([parameter()], amsgrad=True), "amsgrad"),
        (SGD([parameter()], lr=0.1, momentum=1.0), "momentum"),
        (SGD([parameter()], lr=0.0), "positive rates"),
        (SGD([parameter()], lr=math.inf), "finite"),
        (SGD([parameter().requires_grad_(False)], lr=0.1), "moves"),
    ],
)
def test_what_is_not_known_is_refused_with_its_remedy(optimizer: Optimizer, remedy: str) -> None:
    with pytest.raises(BadRequest, match=remedy):
        TrainingTime.of(optimizer, steps=10, batch_size=4)


@pytest.mark.parametrize(
    ("schedule", "settings", "remedy"),
    [
        (None, {}, "steps=None"),
        (None, {"steps": "a"}, "steps='a'"),
        (None, {"steps": 1.5}, "steps=1.5"),
        (["a"], {}, "a rate of schedule='a'"),
        ("cosine", {"steps": 3}, "schedule='cosine'"),
        (None, {"steps": 0}, "steps=0"),
        (None, {"steps": 3, "steps_per_rate": 0}, "steps_per_rate=0"),
        ([0.1, 0.1], {"steps": 3}, "2 rates for 3"),
        ([0.1, -0.1], {}, "a rate of schedule=-0.1"),
        ([0.1, math.nan], {}, "a rate of schedule=nan"),
        ([], {}, "steps=0"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(
    schedule: list[float] | None, settings: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(BadRequest, match=remedy):
        TrainingTime.of(SGD([parameter()], lr=0.1), schedule, **settings)


def test_schedulers_that_do_not_tell_their_rates_are_refused() -> None:
    optimizer = SGD([parameter()], lr=0.1, momentum=0.9)
    with pytest.raises(BadRequest, match="TrainingRecorder"):
        TrainingTime.of(optimizer, lr_scheduler.ReduceLROnPlateau(optimizer), steps=3)
    other = lr_scheduler.ExponentialLR(SGD([parameter()], lr=0.1), 0.9)
    with pytest.raises(BadRequest, match="another optimiser"):
        TrainingTime.of(optimizer, other, steps=3)
    with pytest.raises(BadRequest, match="steps_per_rate"):
        TrainingTime.of(optimizer, lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=5), steps=9)


def test_large_parameters_are_not_copied() -> None:
    class Untouched(nn.Parameter):
        def __deepcopy__(self, memo: Any) -> Tensor:
            raise AssertionError("a parameter was copied")

    optimizer = SGD([Untouched(torch.zeros(3))], lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    assert TrainingTime.of(optimizer, scheduler, steps=2).total == pytest.approx(0.19)
