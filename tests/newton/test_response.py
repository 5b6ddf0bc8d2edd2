"""The response along training against two trainings, one with the forget set and one without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu import Checkpoint, ErasureProblem, TrainingTime
from curenu.errors import BadRequest, MissingData
from curenu.methods import StoCuReNU
from curenu.newton.response import Response
from curenu.newton.tuning import Tuning
from curenu.risks import EmpiricalRisk
from tests.problems import generator

N, GONE, DECAY, TIME, STEPS = 30, [0, 1, 2, 3, 4, 5], 0.05, 3.0, 6000
Clock = Literal["same_epochs", "same_steps"]


def data() -> tuple[Tensor, Tensor]:
    x = torch.randn(N, 4, generator=generator(1), dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [0.0]], dtype=torch.float64)
    return x, y + 0.5 * torch.randn(N, 1, generator=generator(2), dtype=torch.float64)


def slope(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Of the mean of (xᵀw − y)² and its decay."""
    return 2.0 * ((x @ weights - y[:, 0]) @ x) / len(x) + DECAY * weights


def trained(x: Tensor, y: Tensor, time: float, start: Tensor) -> list[Tensor]:
    """The weights along `STEPS` steps of gradient descent that take `time` together."""
    path = [start]
    for _ in range(STEPS):
        path.append(path[-1] - time / STEPS * slope(path[-1], x, y))
    return path


def problem_of(path: list[Tensor], count: int, clock: Clock) -> ErasureProblem:
    """The linear model at the end of `path`, with the middles of `count` equal parts of it."""
    x, y = data()
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(path[-1])
    middles = [(part + 0.5) / count for part in range(count)]
    passed = tuple(
        Checkpoint(share * TIME, {"weight": path[round(share * STEPS)][None]}) for share in middles
    )
    risk = EmpiricalRisk(model, TensorDataset(x, y), "mse", weight_decay=DECAY)
    time = TrainingTime(TIME, oracle=clock, checkpoints=passed)
    return ErasureProblem(risk.start, *risk.split(GONE), training=time)


@pytest.mark.parametrize(
    ("clock", "time"), [("same_epochs", TIME * (N - len(GONE)) / N), ("same_steps", TIME)]
)
def test_it_is_the_difference_of_two_trainings(clock: Clock, time: float) -> None:
    """A linear model's response is exact but for the force within a segment: 60 of them."""
    x, y = data()
    start = torch.zeros(4, dtype=torch.float64)
    path = trained(x, y, TIME, start)
    kept = [i for i in range(N) if i not in GONE]
    without = trained(x[kept], y[kept], time, start)[-1]
    problem = problem_of(path, 60, clock)
    theta, trace = Response(problem, "gauss_newton", False, 6, Tuning())(N, generator())
    wanted = without - path[-1]
    torch.testing.assert_close(
        theta - problem.start, wanted, rtol=0, atol=0.01 * float(wanted.norm())
    )
    assert len(trace) == 60


def test_a_metric_changes_the_vectors_and_not_the_flow() -> None:
    """Four products span all four weights, in whatever metric."""
    path = trained(*data(), TIME, torch.zeros(4, dtype=torch.float64))
    problem = problem_of(path, 5, "same_epochs")
    plain, metric = (
        Response(problem, "gauss_newton", wanted, 6, Tuning())(N, generator())[0]
        for wanted in (False, True)
    )
    torch.testing.assert_close(plain, metric, rtol=1e-6, atol=1e-9)


def test_the_method_follows_checkpoints_and_says_so() -> None:
    path = trained(*data(), TIME, torch.zeros(4, dtype=torch.float64))
    problem = problem_of(path, 3, "same_epochs")
    result = StoCuReNU()(problem, generator=generator())
    assert any(note.startswith("response along training, 3 checkpoints") for note in result.notes)
    bare = replace(problem, training=TrainingTime(TIME))
    assert not any("response" in note for note in StoCuReNU()(bare, generator=generator()).notes)
    adam = replace(problem, training=replace(problem.training, adaptive_batch=8))
    notes = StoCuReNU()(adam, generator=generator()).notes
    assert any("checkpoints of an adaptive optimiser left aside" in note for note in notes)


def test_checkpoints_that_do_not_belong_are_refused_before_anything_is_computed() -> None:
    path = trained(*data(), TIME, torch.zeros(4, dtype=torch.float64))
    problem = problem_of(path, 3, "same_epochs")

    def asked(*checkpoints: Checkpoint) -> None:
        replace(problem, training=TrainingTime(TIME, checkpoints=checkpoints))

    with pytest.raises(BadRequest, match="Parameters missing: weight"):
        asked(Checkpoint(1.0, {"other": torch.zeros(1, 4)}))
    with pytest.raises(BadRequest, match=r"has shape \[2, 4\]"):
        asked(Checkpoint(1.0, {"weight": torch.zeros(2, 4)}))
    weights = {"weight": torch.zeros(1, 4)}
    with pytest.raises(BadRequest, match="at time 4 of a training of 3"):
        asked(Checkpoint(4.0, weights))
    with pytest.raises(BadRequest, match="of the same time"):
        asked(Checkpoint(1.0, weights), Checkpoint(1.0, weights))
    with pytest.raises(BadRequest, match="the time it had"):
        TrainingTime(checkpoints=(Checkpoint(1.0, weights),))
    with pytest.raises(MissingData, match="Cannot read the checkpoint"):
        asked(Checkpoint(1.0, Path("nowhere.safetensors")))
