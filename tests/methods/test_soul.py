"""SOUL and SIMU against loops written by hand; the rule of Sophia; the published traps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from curenu.descent.sophia import Sophia
from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.methods import SIMU, SOUL
from tests.methods.dense import loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator

ALL = 100  # a batch that holds every example
RATE, RHO, DECAY, TINY = 1e-3, 0.04, 0.1, 1e-15


@dataclass
class Fixed:
    """An objective of one gradient everywhere, that counts how often it is asked."""

    slope: Tensor
    asked: int = 0

    def gradient(self, theta: Tensor) -> Tensor:
        self.asked += 1
        return self.slope.clone()


def test_a_constant_gradient_gives_the_clipped_step() -> None:
    slope = torch.tensor([2.0, -1e-3, 1e-6, 0.0], dtype=torch.float64)
    curved = torch.tensor([0.5, 0.3, 0.2, 0.1], dtype=torch.float64)
    objective, loss = Fixed(slope), Fixed(curved)
    start = torch.zeros(4, dtype=torch.float64)
    theta = Sophia(RATE, rho=RHO, decay=0.0).follow(start, [(objective, loss, 8)])
    m, h = 0.1 * slope, 0.05 * curved**2
    size = RATE * (m.abs() / (RHO * 8 * h + TINY)).clamp(max=1.0)
    torch.testing.assert_close(-theta, size * slope.sign(), rtol=1e-12, atol=0)
    assert float(theta[0]) == pytest.approx(-RATE)  # clipped
    assert abs(float(theta[2])) < RATE  # not
    assert objective.asked == loss.asked == 1  # the moving gradient is updated once a step


def test_the_curvature_is_taken_every_few_steps_and_masked_weights_keep_their_bits() -> None:
    objective, loss = Fixed(torch.ones(3)), Fixed(torch.ones(3))
    start = torch.tensor([1.0, 2.0, 3.0])
    mask = torch.tensor([True, False, True])
    theta = Sophia(0.1, decay=0.5, every=3).follow(start, [(objective, loss, 1)] * 7, mask=mask)
    assert (objective.asked, loss.asked) == (7, 3)
    assert torch.equal(theta[1], start[1])
    assert (theta[[0, 2]] != start[[0, 2]]).all()


def by_hand(start: Tensor, slopes: Callable[[Tensor], tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Five steps of the equations, one line each."""
    theta, m, h = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for _ in range(5):
        objective, loss = slopes(theta)
        h = 0.95 * h + 0.05 * loss**2
        m = 0.9 * m + 0.1 * objective
        theta = theta * (1 - RATE * DECAY) - RATE * (m / (RHO * size * h + TINY)).clamp(-1, 1)
    return theta


@pytest.mark.parametrize("forgetting", ["grad-diff", "npo"])
def test_soul_is_the_equations_with_the_curvature_of_both_batches(forgetting: Any) -> None:
    problem, given = problem_of("mlp"), PROBLEMS["mlp"]()
    gone, kept = (loss_of(given, part.ids) for part in (problem.forget, problem.retain))
    few, many = problem.forget.size, problem.retain.size
    before = [float(loss_of(given, one)(problem.start)) for one in problem.forget.ids.split(1)]

    def away(theta: Tensor) -> Tensor:
        if forgetting == "grad-diff":
            return -gone(theta)
        rises = [
            loss_of(given, one)(theta) - start
            for one, start in zip(problem.forget.ids.split(1), before, strict=True)
        ]
        return -2.0 / 0.1 * torch.nn.functional.logsigmoid(0.1 * torch.stack(rises)).mean()

    def slopes(theta: Tensor) -> tuple[Tensor, Tensor]:
        objective = torch.func.grad(lambda t: away(t) + 0.7 * kept(t))(theta)
        whole = torch.func.grad(lambda t: (few * gone(t) + many * kept(t)) / (few + many))(theta)
        return objective, whole

    method = SOUL(forgetting, retain_weight=0.7, learning_rate=RATE, batch_size=ALL)
    found = method(problem, generator=generator()).theta
    expected = by_hand(problem.start, slopes, few + many)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_step_is_not_nearly_a_sign_where_the_curvature_is_that_of_the_loss() -> None:
    """Their estimate is of the mixed gradient, whose square hardly ever exceeds the gradient."""
    problem = problem_of("mlp")
    moved = SOUL(epochs=1, learning_rate=RATE, decay=0.0, rho=10.0, batch_size=ALL)(
        problem, generator=generator()
    ).theta
    share = float(((moved - problem.start).abs() > 0.999 * RATE).double().mean())
    assert share < 0.9


def test_simu_moves_the_units_of_the_forget_set_alone_weight_decay_included() -> None:
    problem, given = problem_of("mlp"), PROBLEMS["mlp"]()
    erasure = SIMU(share=0.6, learning_rate=RATE, epochs=2)(problem, generator=generator())
    slope = torch.func.grad(loss_of(given, problem.forget.ids))(problem.start)
    pulls = (slope * problem.start).split([24, 6, 18, 3])
    expected = []
    for weight, bias, inputs in ((pulls[0], pulls[1], 4), (pulls[2], pulls[3], 6)):
        score = (weight.view(-1, inputs).sum(1) + bias).abs()
        take = score >= 0.6 * score.max()
        expected += [take.repeat_interleave(inputs), take]
    moving = torch.cat(expected)
    assert torch.equal(erasure.theta != problem.start, moving)
    assert 0 < int(moving.sum()) < len(moving)
    assert "of 9 units of 2 linear layers" in erasure.notes[0]


def test_what_cannot_be_meant_is_refused() -> None:
    for make in (
        lambda: SOUL("po"),  # type: ignore[arg-type]
        lambda: SOUL(rho=0.0),
        lambda: SOUL(betas=(1.0, 0.5)),
        lambda: SOUL(every=0),
        lambda: SOUL(retain_weight=-1.0),
        lambda: SIMU(share=1.5),
    ):
        with pytest.raises(BadRequest):
            make()
    with pytest.raises(UnsupportedModel, match="linear layer"):
        SIMU()(problem_of("mlp", only=lambda name: name.endswith("bias")), generator=generator())
    with pytest.raises(IllPosed, match="learning_rate"):
        SOUL(learning_rate=1e300, decay=1e9)(problem_of("mlp"), generator=generator())
