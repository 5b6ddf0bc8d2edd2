"""RewindToDelete against plain descent from the recorded weights, written apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from curenu import Checkpoint, ErasureProblem, TrainingTime
from curenu.errors import BadRequest
from curenu.methods import RewindToDelete
from curenu.status import Status
from tests.methods.dense import loss_of
from tests.methods.test_rivals import FORGET, problem_of
from tests.problems import PROBLEMS, generator

RATE, STEPS = 0.1, 40


def descended(theta: Tensor, ids: Tensor, steps: int) -> Tensor:
    """Full gradient descent with weight decay."""
    slope = torch.func.grad(loss_of(PROBLEMS["mlp"](), ids, 1e-2))
    for _ in range(steps):
        theta = theta - RATE * slope(theta)
    return theta


def recorded(*steps: int, forget: list[int] = FORGET) -> tuple[ErasureProblem, Tensor]:
    """A training on all data whose weights were kept after so many steps; where it started."""
    problem = problem_of("mlp", forget)
    every = torch.arange(17)
    parameters = problem.retain.parameters
    kept = tuple(
        Checkpoint(RATE * count, dict(parameters.unflatten(descended(problem.start, every, count))))
        for count in steps
    )
    time = TrainingTime(RATE * STEPS, checkpoints=kept)
    end = descended(problem.start, every, STEPS)
    return replace(problem, start=end, training=time), problem.start


@pytest.mark.parametrize(("place", "passed"), [(-1, 30), (0, 10)])
def test_it_goes_on_from_the_checkpoint_without_what_goes(place: int, passed: int) -> None:
    problem, start = recorded(10, 30)
    method = RewindToDelete(place, learning_rate=RATE, batch_size=None, momentum=0.0)
    erasure = method(problem, generator=generator())
    middle = descended(start, torch.arange(17), passed)
    expected = descended(middle, problem.retain.ids, STEPS - passed)
    torch.testing.assert_close(erasure.theta, expected, rtol=1e-10, atol=1e-12)
    assert erasure.cost.examples == (STEPS - passed) * 14 == method.plan(problem).examples
    assert erasure.status is Status.SCHEDULE_DONE


def test_an_early_checkpoint_is_nearer_to_retraining() -> None:
    problem, start = recorded(1, 20, 39)
    oracle = descended(start, problem.retain.ids, STEPS)
    gaps = []
    for place in (0, 1, 2):
        method = RewindToDelete(place, learning_rate=RATE, batch_size=None, momentum=0.0)
        gaps.append(float((method(problem, generator=generator()).theta - oracle).norm()))
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.2 * float((problem.start - oracle).norm())


def test_batches_and_momentum_take_the_time_that_was_rewound() -> None:
    problem, _ = recorded(20)
    method = RewindToDelete(learning_rate=0.05, batch_size=5, momentum=0.5)
    erasure = method(problem, generator=generator())
    assert "20 steps" in erasure.notes[0]  # (4.0 − 2.0) · (1 − .5) / .05
    assert erasure.cost.examples <= method.plan(problem).examples


def test_a_training_without_checkpoints_and_a_place_that_is_none_are_refused() -> None:
    with pytest.raises(BadRequest, match="TrainingRecorder"):
        RewindToDelete().plan(problem_of("mlp"))
    with pytest.raises(BadRequest, match="from -2 to 1"):
        RewindToDelete(2).plan(recorded(10, 30)[0])
    with pytest.raises(BadRequest):
        RewindToDelete(batch_size=0)
