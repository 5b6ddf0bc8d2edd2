"""The attack climbs the first-order effect, within its bounds, and labels stay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.attacks import HoldoutInfluence, perturb
from curenu.errors import BadRequest, UnsupportedModel
from curenu.risks import EmpiricalRisk
from tests.methods.dense import loss_of
from tests.problems import PROBLEMS, Problem

IDS = [0, 3, 4, 8]


@pytest.fixture(scope="module")
def given() -> Problem:
    return PROBLEMS["mlp"]()


@pytest.fixture(scope="module")
def influence(given: Problem) -> HoldoutInfluence:
    risk = EmpiricalRisk(given.model, given.dataset, given.loss, weight_decay=0.01)
    return HoldoutInfluence.of(risk.subset(range(12)), risk.subset(range(12, 17)))


def pull_of(given: Problem, theta: Tensor, along: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """q·∇l of one example by a derivative along q of its loss alone."""
    one = Problem(given.model, TensorDataset(x[None], y[None]), given.loss)
    loss = loss_of(one, torch.tensor([0]))
    return torch.func.jvp(loss, (theta,), (along,))[1]


def test_a_small_step_gains_the_radius_times_the_sum_of_the_slopes(given, influence) -> None:
    radius = 1e-5
    made = perturb(influence, influence.risk.subset(IDS), radius=radius, steps=1, step_size=radius)
    x, y = given.dataset.tensors  # type: ignore[attr-defined]
    for place, one in enumerate(IDS):
        at = x[one].clone().requires_grad_()
        pull = pull_of(given, influence.theta, influence.response, at, y[one])
        (slope,) = torch.autograd.grad(pull, at)
        assert float(made.before[place]) == pytest.approx(float(pull.detach()) / 12, rel=1e-9)
        gained = float(made.after[place] - made.before[place])
        assert gained == pytest.approx(radius * float(slope.abs().sum()) / 12, rel=1e-3)


def test_inputs_stay_in_the_ball_and_within_bounds_and_labels_stay(given, influence) -> None:
    x, y = given.dataset.tensors  # type: ignore[attr-defined]
    made = perturb(influence, influence.risk.subset(IDS), radius=0.3, bounds=(-1.0, 1.0))
    moved = (made.inputs - x[IDS]).abs()
    assert moved.max() <= 0.3 * (1 + 1e-12)
    assert moved.max() > 0.29
    outside = x[IDS].abs() > 1.0
    assert outside.any()
    assert (made.inputs.abs() <= x[IDS].abs().clamp(min=1.0)).all()
    assert torch.equal(made.targets, y[IDS])
    assert made.positions == tuple(IDS)


def test_no_example_is_worse_for_it_and_the_gain_is_what_the_screen_measures(influence) -> None:
    examples = influence.risk.subset(IDS)
    made = perturb(influence, examples, radius=0.3)
    assert (made.after > made.before).all()
    brought = influence.figures(influence.over(made.dataset)).changes
    own = influence.figures(examples).changes
    torch.testing.assert_close(brought - own, made.after - made.before, rtol=1e-9, atol=1e-12)


def test_the_best_iterate_is_kept_where_steps_overshoot(influence) -> None:
    examples = influence.risk.subset(IDS)
    made = perturb(influence, examples, radius=50.0, steps=3, step_size=50.0)
    assert (made.after >= made.before).all()


def test_a_radius_of_zero_changes_nothing(influence) -> None:
    examples = influence.risk.subset(IDS)
    made = perturb(influence, examples, radius=0.0)
    assert torch.equal(made.inputs, examples.source.batch(examples.ids).content[0])
    assert torch.equal(made.before, made.after)


@pytest.mark.parametrize(
    "wrong", [{"radius": -0.1}, {"radius": 0.1, "steps": 0}, {"radius": 0.1, "bounds": (1.0, 0.0)}]
)
def test_numbers_that_cannot_be_meant_are_refused(influence, wrong) -> None:
    with pytest.raises(BadRequest):
        perturb(influence, influence.risk, **wrong)


@pytest.mark.parametrize(("name", "said"), [("mapping", "not a pair"), ("words", "torch.int64")])
def test_inputs_without_a_gradient_are_refused(name: str, said: str) -> None:
    given = PROBLEMS["mapping"]()
    data, loss = given.dataset, given.loss
    if name == "words":
        tokens = given.dataset.tokens  # type: ignore[attr-defined]
        data, loss = TensorDataset(tokens[:, :-1], tokens[:, 1:]), lambda z, y: z.logsumexp(2).sum()
    risk = EmpiricalRisk(given.model, data, loss)
    influence = HoldoutInfluence.of(risk, risk, curvature="hessian", damping=9.0)
    with pytest.raises(UnsupportedModel, match=said):
        perturb(influence, risk, radius=0.1)
