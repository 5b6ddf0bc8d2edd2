"""The one step on a large sample: what it is on linear models, and when it is doubted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu import ErasureProblem, TrainingTime
from curenu.erasure import Erasure
from curenu.methods import StoCuReNU
from curenu.newton.cubic_newton import CubicNewton
from curenu.newton.iterates import Found
from curenu.newton.tuning import Tuning
from curenu.risks import EmpiricalRisk
from curenu.status import Advice, Status
from curenu.tasks import load_task
from tests.problems import generator

DECAY, TIME = 1e-2, 20.0
GONE = list(range(40, 52))


def blobs(count: int = 80, spread: float = 1.0, width: int = 4) -> tuple[Tensor, Tensor]:
    y = torch.arange(count) % 3
    centres = 2.0 * torch.randn(3, width, generator=generator(1), dtype=torch.float64)
    noise = torch.randn(count, width, generator=generator(2), dtype=torch.float64)
    return centres[y] + spread * noise, y


def trained(model: nn.Module, x: Tensor, y: Tensor, steps: int = 200) -> nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=TIME / 200, weight_decay=DECAY)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def problem_of(model: nn.Module, x: Tensor, y: Tensor, gone: list[int], **more: Any) -> Any:
    risk = EmpiricalRisk(model, TensorDataset(x, y), "cross_entropy", weight_decay=DECAY)
    time = TrainingTime(TIME)
    return ErasureProblem(risk.start, *risk.split(gone), training=time, **more)


def linear(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(width, 3, bias=width > 2).double()


def erased(problem: Any, **fields: Any) -> Erasure:
    tuning = replace(Tuning(), **fields)
    return StoCuReNU(tuning=tuning, preconditioner="none")(problem, generator=generator())


def newton_step(model: nn.Module, x: Tensor, y: Tensor, kept: list[int]) -> Tensor:
    """−(H + lambda + 1/T_r)⁻¹ ∇A(theta0), dense, H the mean Hessian over `kept`.

    ∇A(theta0) = −(Σ_f ∇l_i + n_f lambda theta0)/n_r.
    """
    (weight,) = (p.detach() for p in model.parameters())

    def loss(flat: Tensor, ids: list[int]) -> Tensor:
        return functional.cross_entropy(x[ids] @ flat.view_as(weight).T, y[ids], reduction="sum")

    theta, retained = weight.flatten(), len(x) - len(GONE)
    pull = torch.func.grad(loss)(theta, GONE) + len(GONE) * DECAY * theta
    curvature = torch.func.hessian(loss)(theta, kept) / len(kept)
    shift = DECAY + len(x) / (TIME * retained)
    curvature = curvature + shift * torch.eye(len(theta), dtype=torch.float64)
    return torch.linalg.solve(curvature, pull / retained)


def test_on_a_linear_model_it_is_the_damped_newton_step() -> None:
    """The Gauss-Newton matrix is the Hessian there, and products span all six weights.

    One retained example is set aside, no matter which.
    """
    x, y = blobs(width=2)
    model = trained(linear(2), x, y)
    problem = problem_of(model, x, y, GONE)
    result = erased(problem, large_held=1, worth=1e-9, large_harm=float("inf"))
    assert len(result.trace) == 1
    found = result.theta - problem.start
    kept = [i for i in range(len(x)) if i not in GONE]
    off = [
        float((found - newton_step(model, x, y, [i for i in kept if i != aside])).norm())
        for aside in kept
    ]
    assert min(off) <= 1e-8 * float(found.norm())


def test_it_is_the_whole_erasure_where_nothing_speaks_against_it() -> None:
    x, y = blobs()
    result = erased(problem_of(trained(linear(), x, y), x, y, GONE))
    assert any(note.startswith("one step on 55 examples") for note in result.notes)
    assert not any("more steps" in note for note in result.notes)
    assert result.cost.hvps == sum(step.products for step in result.trace) + 1  # a doubt's product


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"large_agrees": (1.5, 2.0)}, "times as was expected"),
        ({"large_bend": 0.5}, "times as its slope says"),
    ],
)
def test_a_doubt_is_said_and_more_steps_follow(fields: dict[str, Any], why: str) -> None:
    x, y = blobs()
    problem = problem_of(trained(linear(), x, y), x, y, GONE)
    result = erased(problem, **fields)
    assert any("more steps" in note and why in note for note in result.notes)
    assert len(result.trace) > 1
    assert not torch.equal(result.theta, erased(problem).theta)


def test_wrong_labels_are_found_not_to_have_been_fitted() -> None:
    x, y = blobs(spread=0.3)
    wrong = y.clone()
    wrong[GONE] = (y[GONE] + 1) % 3
    result = erased(problem_of(trained(linear(), x, wrong), x, wrong, GONE))
    assert any("was not fitted" in note for note in result.notes)
    assert str(Advice.BENDS) not in result.notes


def test_a_whole_class_is_found_to_bend_the_model() -> None:
    x, y = blobs(spread=0.3)
    one = [i for i in range(len(y)) if y[i] == 2]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    result = erased(problem_of(trained(net, x, y, 2000), x, y, one))
    assert any("more steps" in note for note in result.notes)
    assert str(Advice.BENDS) in result.notes


def test_a_sampled_step_grows_while_examples_set_aside_confirm_it() -> None:
    """With nothing asked of them the space grows to its end; with everything, less far."""
    x, y = blobs(count=400)
    problem = problem_of(trained(linear(), x, y), x, y, GONE)
    sizes = {"large_sample": 8, "large_share": 0.01}
    free, strict = (erased(problem, **sizes, worth=worth) for worth in (1e-9, 1.0))
    assert strict.trace[0].products < free.trace[0].products <= 12


def test_without_it_steps_are_made_from_the_start() -> None:
    x, y = blobs()
    problem = problem_of(trained(linear(), x, y), x, y, GONE)
    result = StoCuReNU(single_step=False)(problem, generator=generator())
    assert not any("one step on" in note for note in result.notes)
    assert len(result.trace) == 7


def test_an_earlier_model_as_the_anchor_leaves_it_out() -> None:
    x, y = blobs()
    model = trained(linear(), x, y)
    problem = problem_of(model, x, y, GONE, anchor=torch.zeros(15, dtype=torch.float64))
    result = StoCuReNU()(problem, generator=generator())
    assert not any("one step on" in note for note in result.notes)


def test_a_users_function_comes_as_far_as_the_same_loss_by_name() -> None:
    """Of the change by name, with its metric, the function's change without one makes most."""
    task = load_task("digits")
    model = task.train_model(0)
    gone = torch.randperm(1437, generator=generator(3))[:140].tolist()

    def changed(loss: Any) -> Tensor:
        result = curenu.unlearn(
            model,
            task.train,
            loss,
            forget=gone,
            weight_decay=task.recipe.weight_decay,
            training=task.training_time,
        )
        return result.theta - torch.cat([p.detach().flatten() for p in model.parameters()])

    named = changed("cross_entropy")
    own = changed(lambda outputs, targets: functional.cross_entropy(outputs, targets))
    assert float(torch.dot(own, named) / named.square().sum()) >= 0.8
    assert float((own - named).norm() / named.norm()) <= 0.5


def test_a_step_that_bends_the_model_is_not_kept_where_further_ones_bring_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is only too short is: it lowered the objective on examples set aside."""
    x, y = blobs()
    problem = problem_of(trained(linear(), x, y), x, y, GONE)

    def fruitless(self: CubicNewton, asked: Any, *_: Any) -> Found:
        return Found(asked.start.clone(), Status.NO_GAIN, (), None, None)

    monkeypatch.setattr(CubicNewton, "_within", fruitless)
    short = erased(problem, large_fitted=0.0)
    bent = erased(problem, large_agrees=(0.0, 0.0))
    assert short.status is Status.SCHEDULE_DONE
    assert not torch.equal(short.theta, problem.start)
    assert bent.status is Status.NO_GAIN
    assert torch.equal(bent.theta, problem.start)
