"""The identities of the anchored objective, section 3 of the theory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest
from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import (
    PROBLEMS,
    Problem,
    classes,
    generator,
    inputs,
    logistic,
    mlp,
    regression,
)

FORGET = [1, 4, 7]


def parts(problem: Problem, loss: object = None) -> tuple[EmpiricalRisk, EmpiricalRisk]:
    risk = EmpiricalRisk(
        problem.model,
        problem.dataset,
        loss or problem.loss,  # type: ignore[arg-type]
        weight_decay=problem.weight_decay,
        micro_batch_size=4,
    )
    return risk.split(FORGET)


def anchored(problem: Problem, loss: object = None) -> AnchoredRisk:
    retain, forget = parts(problem, loss)
    return AnchoredRisk(retain, forget, retain.start)


def nearby(theta: Tensor, seed: int, scale: float = 0.3) -> Tensor:
    return theta + scale * torch.randn(theta.shape, generator=generator(seed), dtype=theta.dtype)


def minimum(problem: Problem) -> Tensor:
    """theta0 that minimises the whole training objective, by Newton's method."""
    risk = EmpiricalRisk(
        problem.model, problem.dataset, problem.loss, weight_decay=problem.weight_decay
    )
    theta = risk.start
    for _ in range(60):
        hessian = risk.linearise(theta).dense()
        theta = theta - torch.linalg.solve(hessian, risk.gradient(theta))
    assert risk.gradient(theta).norm() < 1e-13
    return theta


def ridge() -> Problem:
    problem = regression()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Problem(nn.Linear(4, 2).double(), problem.dataset, "mse")


@pytest.mark.parametrize("problem", [logistic(), ridge()])
@pytest.mark.parametrize("named", [True, False])
def test_on_models_linear_in_their_parameters_it_is_the_retain_objective(
    problem: Problem, named: bool
) -> None:
    loss = functional.cross_entropy if problem.loss == "cross_entropy" else functional.mse_loss
    retain, forget = parts(problem, None if named else loss)
    start = minimum(problem)
    objective = AnchoredRisk(retain, forget, start)
    gaps = [
        float(objective.value(theta) - retain.value(theta))
        for theta in (start, nearby(start, 1), nearby(start, 2, 2.0))
    ]
    assert max(gaps) - min(gaps) < 1e-12
    theta = nearby(start, 3)
    torch.testing.assert_close(objective.gradient(theta), retain.gradient(theta))
    torch.testing.assert_close(objective.linearise(theta).dense(), retain.linearise(theta).dense())


@pytest.mark.parametrize("name", ["mlp", "regression", "cnn", "batch_norm", "tied", "attention"])
def test_gradient_at_the_anchor_is_the_forget_examples_pull(name: str) -> None:
    problem = PROBLEMS[name]()
    named = "mse" if problem.loss == "mse" else "cross_entropy"
    retain, forget = parts(problem, named)
    objective = AnchoredRisk(retain, forget, retain.start)
    share = forget.size / retain.size
    expected = -share * forget.gradient(retain.start)  # the decay's share is in it
    torch.testing.assert_close(objective.gradient(retain.start), expected)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("build", [mlp, regression])
def test_the_gradient_of_any_sample_at_the_anchor_is_the_whole_ones(build, named: bool) -> None:
    problem = build()
    loss = functional.cross_entropy if problem.loss == "cross_entropy" else functional.mse_loss
    retain, forget = parts(problem, None if named else loss)
    objective = AnchoredRisk(retain, forget, retain.start)
    whole = objective.gradient(retain.start)
    for seed in range(3):
        sample = objective.sample(2, generator(seed))
        assert len(sample._sum.terms[-1].ids) < 3
        sampled = sample.gradient(retain.start)
        torch.testing.assert_close(sampled, whole, rtol=1e-12, atol=1e-15)


def test_samples_are_unbiased_away_from_the_anchor() -> None:
    objective = anchored(mlp())
    theta = nearby(objective.start, 4)
    draws = [objective.sample(5, generator(seed)).gradient(theta) for seed in range(300)]
    mean, spread = torch.stack(draws).mean(0), torch.stack(draws).std(0) / 300**0.5
    assert ((mean - objective.gradient(theta)).abs() <= 4.5 * spread + 1e-12).all()


def test_what_is_held_out_is_not_trained_on() -> None:
    objective = anchored(mlp())
    rest, held = objective.hold_out(4, generator())
    kept, apart = rest.ids.tolist(), held.ids.tolist()
    assert len(apart) == 4
    assert sorted(kept + apart) == objective.ids.tolist()
    torch.testing.assert_close(held.gradient(objective.start), objective.gradient(objective.start))


def test_hessian_at_the_anchor_is_gauss_newton_plus_the_forget_residual_term() -> None:
    problem = mlp()
    retain, forget = parts(problem)
    start = retain.start
    objective = AnchoredRisk(retain, forget, start)
    x, y = problem.dataset.tensors  # type: ignore[attr-defined]

    def logits(theta: Tensor, ids: Tensor) -> Tensor:
        return functional_call(problem.model, retain.parameters.unflatten(theta), (x[ids],))

    jacobian = torch.func.jacrev(logits)(start, retain.ids)
    p = logits(start, retain.ids).softmax(1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    gauss_newton = torch.einsum("nid,nij,nje->de", jacobian, middle, jacobian) / retain.size

    residual = functional.one_hot(y[forget.ids], 3) - logits(start, forget.ids).softmax(1)

    def weighted(theta: Tensor) -> Tensor:
        return (residual.detach() * logits(theta, forget.ids)).sum() / retain.size

    kept = objective.linearise(start, curvature="gauss_newton")
    decay = problem.weight_decay * torch.eye(len(start), dtype=torch.float64)
    torch.testing.assert_close(kept.dense(), gauss_newton + decay)
    torch.testing.assert_close(kept.gradient, objective.gradient(start))

    own = torch.autograd.functional.hessian(weighted, start)
    torch.testing.assert_close(objective.linearise(start).dense(), gauss_newton + own + decay)


def test_the_forget_term_is_linear_in_the_logits() -> None:
    """Bias-only moves shift all logits alike, so the forget part must grow in proportion."""
    problem = mlp()
    retain, forget = parts(problem)
    objective = AnchoredRisk(retain, forget, retain.start)
    direction = torch.zeros_like(retain.start)
    direction[-3:] = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    removal = objective._sum.terms[1]
    batch = objective.source.batch(removal.ids)

    def forget_part(t: float) -> float:
        named = retain.parameters.unflatten(retain.start + t * direction)
        outputs = objective.source.outputs(named, batch)
        return float(removal.head(outputs, batch).detach())

    assert forget_part(0.0) == pytest.approx(0.0, abs=1e-14)
    assert forget_part(20.0) == pytest.approx(20.0 * forget_part(1.0), rel=1e-10)


def test_products_equal_dense_autograd_away_from_the_anchor() -> None:
    objective = anchored(mlp())
    theta = nearby(objective._start, 5)
    vector = nearby(torch.zeros_like(theta), 6)
    step = 1e-5
    slope = (
        objective.gradient(theta + step * vector) - objective.gradient(theta - step * vector)
    ) / (2 * step)
    torch.testing.assert_close(objective.hvp(theta, vector), slope, rtol=1e-6, atol=1e-9)


def test_outputs_at_the_anchor_are_computed_once_or_anew_with_one_result() -> None:
    retain, forget = parts(mlp())
    kept = AnchoredRisk(retain, forget, retain.start)
    anew = AnchoredRisk(retain, forget, retain.start, memory_budget=0)
    theta = nearby(retain.start, 8)
    counts = []
    for objective in (kept, anew):
        objective.value(theta)
        before = retain.meter.examples
        objective.value(theta)
        counts.append(retain.meter.examples - before)
    assert counts == [17, 34]
    assert float(kept.value(theta)) == pytest.approx(float(anew.value(theta)), rel=1e-14)


def test_parts_of_different_objectives_are_refused() -> None:
    retain, _ = parts(mlp())
    _, other = parts(mlp())
    with pytest.raises(BadRequest, match="different sources"):
        AnchoredRisk(retain, other, retain.start)


def test_a_sample_of_what_is_set_aside_has_its_share_of_forget_examples() -> None:
    """As many beside 10 of 40 set aside as beside 10 of all 60: 5 of the 30 that go."""
    data = TensorDataset(inputs(90, 4), classes(90, 3))
    risk = EmpiricalRisk(mlp().model, data, "cross_entropy")
    whole = AnchoredRisk(*risk.split(range(30)), risk.start)
    theta = risk.start + 0.01
    for objective in (whole, whole.hold_out(40, generator())[1]):
        few = objective.sample(10, generator())
        few.value(theta)  # outputs at theta0, and the pull, are made once
        with risk.meter.measure() as spent:
            few.value(2.0 * theta)
        assert spent().examples == 10 + 5
