"""First-order rivals against loops written by hand with torch's own optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from curenu.erasure import ErasureProblem, Method
from curenu.errors import UnsupportedModel
from curenu.methods import DELETE, NPO, SCRUB, GradDiff, GradientAscent, NegGradPlus, RandomLabels
from curenu.methods.random_labels import random_classes
from curenu.risks import EmpiricalRisk
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator

DECAY = 0.01
ALL = 100  # a batch that holds every example, so that shuffling changes nothing

Loss = Callable[[Tensor], Tensor]


def logits(risk: EmpiricalRisk, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs with a graph to theta, and classes, of a part of the problem `mlp`."""
    given = PROBLEMS["mlp"]()
    x, y = given.dataset.tensors  # type: ignore[attr-defined]
    named = risk.parameters.unflatten(theta)
    return functional_call(given.model, named, (x[risk.ids],)), y[risk.ids]


def loss_on(risk: EmpiricalRisk) -> Loss:
    return lambda theta: functional.cross_entropy(*logits(risk, theta))


def divergence(risk: EmpiricalRisk, teacher: Tensor) -> Loss:
    """Mean over examples of Σ_k q_k log(q_k/p_k), q the teacher."""
    q = logits(risk, teacher)[0].softmax(1)
    return lambda theta: (q * (q / logits(risk, theta)[0].softmax(1)).log()).sum(1).mean()


def by_hand(start: Tensor, losses: list[Loss], rule: type, **settings: Any) -> Tensor:
    """theta after one step on each loss, weight decay added once to each."""
    theta = start.clone().requires_grad_()
    optimizer = rule([theta], **settings)
    for loss in losses:
        optimizer.zero_grad()
        (loss(theta) + 0.5 * DECAY * theta.square().sum()).backward()
        optimizer.step()
    return theta.detach()


def erased(method: Method, problem: ErasureProblem, seed: int = 0) -> Tensor:
    return method(problem, generator=generator(seed)).theta


SGD = {"rule": torch.optim.SGD, "lr": 0.1, "momentum": 0.9}
ADAM = {"rule": torch.optim.Adam, "lr": 0.1}


def test_gradient_ascent_takes_the_steps_written_by_hand() -> None:
    problem = problem_of("mlp")
    up = loss_on(problem.forget)
    expected = by_hand(problem.start, [lambda theta: -up(theta)] * 3, **SGD)
    made = erased(GradientAscent(learning_rate=0.1, epochs=3, batch_size=ALL), problem)
    torch.testing.assert_close(made, expected)


def test_gradient_ascent_ascends() -> None:
    """A gradient negated twice would descend."""
    problem = problem_of("mlp", weight_decay=0.0)
    theta = erased(GradientAscent(learning_rate=0.01, epochs=3, batch_size=2), problem)
    assert problem.forget.value(theta) > problem.forget.value(problem.start)


def test_neg_grad_plus_takes_the_steps_written_by_hand() -> None:
    problem = problem_of("mlp")
    down, up = loss_on(problem.retain), loss_on(problem.forget)
    losses: list[Loss] = [lambda theta: 0.8 * down(theta) - 0.2 * up(theta)] * 3
    method = NegGradPlus(retain_weight=0.8, learning_rate=0.1, epochs=3, batch_size=ALL)
    torch.testing.assert_close(erased(method, problem), by_hand(problem.start, losses, **SGD))


@pytest.mark.parametrize(
    ("retain_weight", "falls", "rises"),
    [(0.5, True, True), (0.0, False, True)],
)
def test_neg_grad_plus_weighs_the_retain_set_down_and_the_forget_set_up(
    retain_weight: float, falls: bool, rises: bool
) -> None:
    problem = problem_of("mlp", weight_decay=0.0)
    method = NegGradPlus(retain_weight, learning_rate=0.01, epochs=3, batch_size=5)
    theta = erased(method, problem)
    kept, gone = (
        float(risk.value(theta) - risk.value(problem.start))
        for risk in (problem.retain, problem.forget)
    )
    assert (kept < 0) == falls
    assert (gone > 0) == rises


def test_neg_grad_plus_goes_through_the_forget_set_again_as_often_as_it_ends() -> None:
    """14 retain examples in threes: five batches, each beside all three forget examples."""
    problem = problem_of("mlp")
    spent = NegGradPlus(epochs=2, batch_size=3)(problem, generator=generator()).cost
    assert (spent.gradients, spent.examples) == (2 * 5, 2 * (14 + 5 * 3))


def test_grad_diff_takes_the_steps_written_by_hand() -> None:
    problem = problem_of("mlp")
    down, up = loss_on(problem.retain), loss_on(problem.forget)
    losses: list[Loss] = [lambda theta: 0.3 * down(theta) - up(theta)] * 3
    method = GradDiff(retain_weight=0.3, learning_rate=0.1, epochs=3, batch_size=ALL)
    torch.testing.assert_close(erased(method, problem), by_hand(problem.start, losses, **ADAM))


def test_npo_takes_the_steps_written_by_hand() -> None:
    problem, b = problem_of("mlp"), 0.5
    down = loss_on(problem.retain)
    outputs, y = logits(problem.forget, problem.start)
    log_p0 = outputs.log_softmax(1).gather(1, y[:, None])

    def loss(theta: Tensor) -> Tensor:
        log_p = logits(problem.forget, theta)[0].log_softmax(1).gather(1, y[:, None])
        away = -2 / b * torch.sigmoid(-b * (log_p - log_p0)).log().mean()
        return away + 0.3 * down(theta)

    method = NPO(b, retain_weight=0.3, learning_rate=0.1, epochs=3, batch_size=ALL)
    torch.testing.assert_close(erased(method, problem), by_hand(problem.start, [loss] * 3, **ADAM))


def test_npo_begins_as_grad_diff_and_then_holds_back() -> None:
    problem = problem_of("mlp", weight_decay=0.0)

    def both(epochs: int) -> tuple[Tensor, Tensor]:
        shared: dict[str, Any] = {"retain_weight": 0.0, "learning_rate": 0.05, "batch_size": ALL}
        return (
            erased(NPO(2.0, epochs=epochs, **shared), problem),
            erased(GradDiff(epochs=epochs, **shared), problem),
        )

    torch.testing.assert_close(*both(1))
    held, free = (float(problem.forget.value(theta)) for theta in both(60))
    assert float(problem.forget.value(problem.start)) < held < free


# Labels


def test_random_labels_takes_the_steps_written_by_hand() -> None:
    problem = problem_of("mlp")
    wanted = random_classes(problem, generator(6), false_only=False)

    def loss(theta: Tensor) -> Tensor:
        (kept, y), (gone, _) = (logits(risk, theta) for risk in (problem.retain, problem.forget))
        total = functional.cross_entropy(kept, y, reduction="sum")
        drawn = wanted[problem.forget.ids]
        return (total + functional.cross_entropy(gone, drawn, reduction="sum")) / 17

    method = RandomLabels(learning_rate=0.1, epochs=3, batch_size=ALL)
    expected = by_hand(problem.start, [loss] * 3, **SGD)
    torch.testing.assert_close(erased(method, problem, seed=6), expected)


@pytest.mark.parametrize("false_only", [False, True])
def test_labels_are_uniform_over_what_they_may_be(false_only: bool) -> None:
    """Shares of every class within four standard errors; a false label is never the true one."""
    problem, stream, rounds = problem_of("mlp"), generator(), 600
    _, truth = logits(problem.forget, problem.start)
    drawn = torch.stack(
        [
            random_classes(problem, stream, false_only=false_only)[problem.forget.ids]
            for _ in range(rounds)
        ]
    )
    for column, true in zip(drawn.T, truth.tolist(), strict=True):
        for label in range(3):
            share = 1 / 3 if not false_only else (0.0 if label == true else 0.5)
            error = (share * (1 - share) / rounds) ** 0.5
            assert abs(float((column == label).double().mean()) - share) <= 4 * error


def test_labels_that_are_ignored_stay_ignored() -> None:
    given = PROBLEMS["mlp"]()
    given.dataset.tensors[1][4] = -100  # type: ignore[attr-defined]
    problem = problem_of(given)
    labels = random_classes(problem, generator(), false_only=True)
    assert labels[4] == -100
    assert (labels[[1, 7]] >= 0).all()


# Teachers


def test_scrub_takes_the_steps_written_by_hand() -> None:
    """Up, down, up, down, down: the teacher is still where it was at every one of them."""
    problem = problem_of("mlp")
    away, stay = (divergence(risk, problem.start) for risk in (problem.forget, problem.retain))
    down = loss_on(problem.retain)

    def up(theta: Tensor) -> Tensor:
        return -away(theta)

    def keep(theta: Tensor) -> Tensor:
        return 0.7 * down(theta) + 0.4 * stay(theta)

    method = SCRUB(2, 3, loss_weight=0.7, divergence_weight=0.4, learning_rate=0.1, batch_size=ALL)
    expected = by_hand(problem.start, [up, keep, up, keep, keep], **ADAM)
    torch.testing.assert_close(erased(method, problem), expected)


def test_scrub_moves_the_student_and_not_the_teacher() -> None:
    """With a student that never moves, or a teacher that moves along, no step goes up."""
    problem = problem_of("mlp", weight_decay=0.0)
    teacher = problem.start.clone()
    apart = divergence(problem.forget, teacher)
    without, with_steps_up = (
        float(apart(erased(SCRUB(count, 10, learning_rate=0.01, batch_size=3), problem)))
        for count in (0, 10)
    )
    assert torch.equal(problem.start, teacher)
    assert with_steps_up > 1.5 * without > 0


def test_delete_takes_the_steps_written_by_hand() -> None:
    """The target is the softmax over the false classes alone; the retain set is not looked at."""
    problem = problem_of("mlp")
    outputs, y = logits(problem.forget, problem.start)
    false = torch.ones_like(outputs, dtype=torch.bool).scatter(1, y[:, None], False)
    q = outputs[false].view(3, 2).softmax(1)

    def loss(theta: Tensor) -> Tensor:
        log_p = logits(problem.forget, theta)[0].log_softmax(1)[false].view(3, 2)
        return (q * (q.log() - log_p)).sum(1).mean()

    method = DELETE(learning_rate=0.1, epochs=3, batch_size=ALL)
    torch.testing.assert_close(erased(method, problem), by_hand(problem.start, [loss] * 3, **SGD))


def test_delete_unlearns_the_true_class_and_keeps_the_order_of_the_others() -> None:
    problem = problem_of("mlp", weight_decay=0.0)
    theta = erased(DELETE(learning_rate=0.1, epochs=300, batch_size=ALL), problem)
    before, y = logits(problem.forget, problem.start)
    after = logits(problem.forget, theta)[0].softmax(1)
    assert (after.gather(1, y[:, None]) < 0.05).all()
    others = before.scatter(1, y[:, None], -torch.inf)
    assert torch.equal(after.argmax(1), others.argmax(1))


def test_delete_refuses_targets_that_name_no_class() -> None:
    given = PROBLEMS["mlp"]()
    given.dataset.tensors[1][4] = -100  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedModel, match="DELETE"):
        erased(DELETE(), problem_of(given))
