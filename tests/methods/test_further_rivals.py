"""Rivals written again by hand: L1, saliency, dampening, two teachers, noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from curenu.erasure import ErasureProblem
from curenu.errors import IllPosed
from curenu.methods.bad_teacher import BadTeacher
from curenu.methods.fine_tune import FineTune
from curenu.methods.fisher import Fisher
from curenu.methods.l1_sparse import L1Sparse
from curenu.methods.salun import SalUn
from curenu.methods.ssd import SSD
from curenu.risks import EmpiricalRisk, squared_gradients
from tests.methods.test_rivals import FORGET, problem_of
from tests.problems import PROBLEMS, Problem, generator, inputs


def logits(risk: EmpiricalRisk, given: Problem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs with a graph to theta, and classes, of a part of a tensor dataset."""
    x, y = given.dataset.tensors  # type: ignore[attr-defined]
    model = given.model
    return functional_call(model, risk.parameters.unflatten(theta), (x[risk.ids],)), y[risk.ids]


def hand_gradient(of: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    return torch.func.grad(of)(theta)


# L1Sparse


def test_l1_sparse_takes_the_steps_written_by_hand() -> None:
    problem = problem_of("mlp")
    method = L1Sparse(sparsity=0.3, learning_rate=0.1, epochs=3, batch_size=100, momentum=0.5)
    theta, velocity = problem.start, torch.zeros_like(problem.start)
    for weight in (0.3, 0.2, 0.1):
        velocity = 0.5 * velocity + problem.retain.gradient(theta) + weight * theta.sign()
        theta = theta - 0.1 * velocity
    torch.testing.assert_close(method(problem, generator=generator()).theta, theta)


def test_l1_sparse_without_its_term_is_fine_tuning_and_with_it_shrinks() -> None:
    problem = problem_of("mlp")
    plain = FineTune(epochs=3, batch_size=5)(problem, generator=generator()).theta
    without, light, heavy = (
        L1Sparse(sparsity=a, epochs=3, batch_size=5)(problem, generator=generator()).theta
        for a in (0.0, 0.1, 0.5)
    )
    assert torch.equal(without, plain)
    assert heavy.abs().sum() < light.abs().sum() < plain.abs().sum()


# SalUn


def test_salun_leaves_the_bits_of_masked_weights_under_decay_and_momentum() -> None:
    problem = problem_of("mlp", weight_decay=0.5)
    method = SalUn(share=0.25, learning_rate=0.1, epochs=3, batch_size=5)
    theta = method(problem, generator=generator()).theta
    mlp = PROBLEMS["mlp"]()

    def loss(point: Tensor) -> Tensor:
        return functional.cross_entropy(*logits(problem.forget, mlp, point))

    salient = hand_gradient(loss, problem.start).abs()
    moved = theta != problem.start
    assert int(moved.sum()) == round(0.25 * len(theta))
    assert salient[moved].min() >= salient[~moved].max()


def test_salun_takes_the_step_written_by_hand() -> None:
    """With two classes the false label is the other one."""
    problem = problem_of(two_classes(), weight_decay=0.1)
    x, y = two_classes().dataset.tensors  # type: ignore[attr-defined]
    wrong = y.clone()
    wrong[FORGET] = 1 - y[FORGET]

    def loss(theta: Tensor) -> Tensor:
        outputs = x @ theta[:8].view(2, 4).T + theta[8:]
        return functional.cross_entropy(outputs, wrong) + 0.05 * theta.square().sum()

    method = SalUn(share=1.0, learning_rate=0.1, epochs=1, batch_size=100)
    expected = problem.start - 0.1 * hand_gradient(loss, problem.start)
    torch.testing.assert_close(method(problem, generator=generator()).theta, expected)


def two_classes() -> Problem:
    x = inputs(12, 4)
    model = nn.Linear(4, 2).double()
    with torch.no_grad():
        model.weight.copy_(inputs(2, 4, seed=3))
        model.bias.zero_()
    return Problem(model, torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long()), "cross_entropy")


# SSD


def test_ssd_dampens_what_the_forget_set_needs_and_nothing_else() -> None:
    problem = problem_of("mlp")
    whole = EmpiricalRisk(
        PROBLEMS["mlp"]().model, PROBLEMS["mlp"]().dataset, "cross_entropy", weight_decay=1.0
    )
    important = squared_gradients(problem.forget, problem.start).tolist()
    overall = squared_gradients(whole, problem.start).tolist()
    expected = [
        value * min(0.5 * all_ / gone, 1.0) if gone > 1.5 * all_ else value
        for value, gone, all_ in zip(problem.start.tolist(), important, overall, strict=True)
    ]
    erasure = SSD(selection=1.5, dampening=0.5)(problem, generator=generator())
    torch.testing.assert_close(erasure.theta, torch.tensor(expected, dtype=torch.float64))
    count = int((erasure.theta != problem.start).sum())
    assert 0 < count < problem.start.numel()
    assert erasure.notes == (f"{count} of {problem.start.numel()} weights selected",)


def test_ssd_says_when_its_threshold_is_out_of_reach() -> None:
    """17 examples, 3 of them to forget: I_f is never 17/3 times the importance for all."""
    problem = problem_of("mlp")
    erasure = SSD(selection=5.7)(problem, generator=generator())
    assert erasure.notes[1:] == ("no weight can be: selection must be below 5.67 here",)
    assert torch.equal(erasure.theta, problem.start)
    assert len(SSD(selection=5.6)(problem, generator=generator()).notes) == 1


def test_ssd_never_grows_a_weight() -> None:
    problem = problem_of("mlp")
    theta = SSD(selection=0.1, dampening=1e6)(problem, generator=generator()).theta
    assert torch.equal(theta, problem.start)


# BadTeacher


def test_bad_teacher_takes_the_steps_written_by_hand() -> None:
    """Two full-batch steps; the second feels the good teacher, who is still where it was."""
    problem, mlp = problem_of("mlp"), PROBLEMS["mlp"]()
    shuffle = generator(5)
    pieces = problem.retain.parameters.unflatten(problem.start).values()
    bad = torch.cat([p.flatten()[torch.randperm(p.numel(), generator=shuffle)] for p in pieces])

    def loss(theta: Tensor) -> Tensor:
        total = 0.005 * theta.square().sum()
        for risk, teacher in ((problem.retain, problem.start), (problem.forget, bad)):
            q = logits(risk, mlp, teacher)[0].softmax(1)
            p = logits(risk, mlp, theta)[0].softmax(1)
            total = total + (q * (q.log() - p.log())).sum() / 17
        return total

    theta = problem.start.clone().requires_grad_()
    rule = torch.optim.Adam([theta], lr=0.1)
    for _ in range(2):
        theta.grad = hand_gradient(loss, theta.detach())
        rule.step()
    method = BadTeacher(learning_rate=0.1, epochs=2, batch_size=100, retain_share=1.0)
    made = method(problem, generator=generator(5)).theta
    torch.testing.assert_close(made, theta.detach())


def test_bad_teacher_moves_the_student_towards_ignorance_of_the_forget_set_only() -> None:
    problem = problem_of("mlp", weight_decay=0.0)
    method = BadTeacher(learning_rate=0.01, epochs=60, batch_size=100, retain_share=1.0)
    theta = method(problem, generator=generator()).theta

    def change(risk: EmpiricalRisk) -> float:
        before, after = (risk.outputs(t)[0].softmax(1) for t in (problem.start, theta))
        return float((before - after).abs().sum(1).mean())

    assert change(problem.forget) > 3 * change(problem.retain) > 0


# Fisher


def test_fisher_adds_noise_of_the_inverse_fisher_variance() -> None:
    problem = problem_of("mlp")
    information = squared_gradients(problem.retain, problem.start)
    variance = 1e-4 / (information + 0.1 * information.mean())
    stream, rounds = generator(), 100
    method = Fisher(noise=1e-4, damping=0.1)
    moves = torch.stack(
        [method(problem, generator=stream).theta - problem.start for _ in range(rounds)]
    )
    z = moves / variance.sqrt()
    count = z.numel()
    assert abs(float(z.mean())) < 4 / count**0.5
    assert abs(float(z.var()) - 1) < 4 * (2 / count) ** 0.5
    each = z.var(0)
    assert ((each - 1).abs() < 5 * (2 / rounds) ** 0.5).all()


def test_fisher_refuses_a_set_without_information() -> None:
    problem = problem_of("mlp")
    flat = EmpiricalRisk(
        PROBLEMS["mlp"]().model, PROBLEMS["mlp"]().dataset, lambda out, _: 0.0 * out.sum(1)
    )
    with pytest.raises(IllPosed, match="none"):
        Fisher()(ErasureProblem(problem.start, *flat.split(FORGET)), generator=generator())
