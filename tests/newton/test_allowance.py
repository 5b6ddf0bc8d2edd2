"""A default erasure costs half of a retraining at most, where it is known what that costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from curenu import TrainingTime, unlearn
from curenu.cost import FORWARD, GRADIENT, PRODUCT
from curenu.erasure import ErasureProblem
from curenu.newton.allowance import Allowance
from curenu.newton.tuning import Tuning
from curenu.risks import EmpiricalRisk
from curenu.status import Status
from curenu.tasks import load_task
from tests.problems import generator, mlp

TASK = load_task("digits")
MODEL = TASK.train_model(0)
CLASS = (TASK.classes == 3).nonzero()[:, 0].tolist()


def erased(forget: Any, passes: int | None) -> Any:
    """With the recipe's time, and so many examples said to have been passed in training."""
    return unlearn(
        MODEL,
        TASK.train,
        TASK.loss,
        forget=forget,
        weight_decay=TASK.recipe.weight_decay,
        training=replace(TASK.training_time, passes=passes),
    )


@pytest.mark.parametrize("epochs", [40, 20, 10, 5, 2])
def test_half_of_a_retraining_is_not_passed_and_what_is_cut_is_said(epochs: int) -> None:
    gone = CLASS
    result = erased(gone, epochs * 1437)
    retraining = GRADIENT * epochs * (1437 - len(gone))
    assert 0 < result.cost.weighted <= 0.5 * retraining
    cut = any("half of a retraining" in note for note in result.notes)
    assert cut or result.status is Status.COST_LIMIT or epochs == 40
    assert (result.status is Status.COST_LIMIT) is not result.status.ok


def test_what_is_left_too_little_leaves_the_model_and_is_not_ok() -> None:
    result = erased(CLASS, 100)
    assert result.status is Status.COST_LIMIT
    assert not result.status.ok
    start = torch.cat([p.detach().flatten() for p in MODEL.parameters()])
    assert torch.equal(result.theta, start)


def test_where_nobody_said_what_training_passed_there_is_no_bound() -> None:
    gone = CLASS
    result = erased(gone, None)
    assert not any("half of a retraining" in note for note in result.notes)
    assert result.cost.weighted > 0.5 * GRADIENT * 5 * 1437


def test_passes_are_counted_by_what_they_multiply() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    vector = torch.randn(risk.dimension, generator=generator(), dtype=torch.float64)
    for work, each in (
        (lambda: risk.value(risk.start), FORWARD),
        (lambda: risk.gradient(risk.start), GRADIENT),
        (lambda: risk.linearise(risk.start) @ vector, GRADIENT + PRODUCT["hessian"]),
        (
            lambda: risk.linearise(risk.start, curvature="gauss_newton") @ vector,
            PRODUCT["gauss_newton"],
        ),
    ):
        with risk.meter.measure() as spent:
            work()
        assert spent().weighted == each * risk.size


def test_the_allowance_falls_by_what_is_passed() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    retain, forget = risk.split([0, 1])
    asked = ErasureProblem(risk.start, retain, forget, training=TrainingTime(5.0, passes=170))
    allowance = Allowance.of(asked, Tuning())
    assert allowance.total == 0.5 * GRADIENT * 170 * 15 / 17
    retain.gradient(risk.start)
    assert allowance.left == allowance.total - GRADIENT * 15
    assert allowance.fitting(1000, 10.0, 30.0) == int(
        (allowance.left - allowance.spare - 30.0) / 10.0
    )
    assert allowance.fitting(3, 10.0, 30.0) == 3


def test_a_recipe_and_an_optimiser_say_what_training_passed() -> None:
    assert TASK.training_time.passes == TASK.recipe.epochs * 1437
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    assert TrainingTime.of(optimizer, steps=50, batch_size=8).passes == 400
    assert TrainingTime.of(optimizer, steps=50).passes is None
