"""The truncated series against dense algebra, its noise, its ball, and what it may promise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu import unlearn
from curenu.erasure import ErasureProblem, Guarantee
from curenu.errors import BadRequest, IllPosed
from curenu.linear import lissa
from curenu.methods import ConstrainedNewton
from tests.methods.dense import hessian_of, loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, Problem, generator, initialised, inputs

DECAY = 0.3


def full(**changes: object) -> ConstrainedNewton:
    """One run on the full batch, without noise or a ball that is felt."""
    settled = {"runs": 1, "batch_size": 1000, "noise": 0.0, "norm_bound": 1e6}
    return ConstrainedNewton(**{**settled, "without_guarantee": True, **changes})


def dense(problem: ErasureProblem, decay: float = DECAY) -> tuple[Tensor, Tensor]:
    """g `[d]` and H `[d, d]` of the retain objective, the decay a squared norm."""
    loss = loss_of(PROBLEMS["mlp"](), problem.retain.ids, decay)
    return torch.func.grad(loss)(problem.start), hessian_of(loss, problem.start)


@pytest.mark.parametrize(("recursions", "scale"), [(40, 5.0), (1, 20.0), (400, 3.0)])
def test_on_the_full_batch_the_series_is_its_closed_form(recursions: int, scale: float) -> None:
    """Decay enters A = H + damping I once, as the squared norm's derivative."""
    problem = problem_of("mlp", weight_decay=DECAY)
    gradient, hessian = dense(problem)
    matrix = hessian + 0.2 * torch.eye(len(gradient), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(matrix)
    filters = (1 - (1 - values / scale) ** (recursions + 1)) / values
    expected = problem.start - vectors @ (filters * (vectors.mT @ gradient))
    method = full(damping=0.2, recursions=recursions, scale=scale)
    theta = method(problem, generator=generator()).theta
    torch.testing.assert_close(theta, expected, rtol=1e-9, atol=1e-12)


def test_at_the_published_settings_the_damping_that_acts_is_about_one() -> None:
    """(1 − e^(−h))/h per eigenvalue h: gamma .01 or none gives the same step within a hundredth."""
    values = torch.tensor([1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0], dtype=torch.float64)
    ones = torch.ones_like(values)
    published, none = (
        lissa(lambda: torch.diag(values), ones, damping=damping, scale=1000.0, recursions=1000)
        for damping in (0.01, 0.0)
    )
    expected = -torch.expm1(-values) / values
    torch.testing.assert_close(none, expected, rtol=2e-3, atol=0)
    torch.testing.assert_close(published, none, rtol=1e-2, atol=0)
    damped = 1.0 / (values + 1.0)
    assert ((published / damped).log().abs() < math.log(1.3)).all()
    assert float(published[0] * (values[0] + 0.01)) < 0.02  # of the step that gamma stands for


def test_every_step_of_every_run_is_on_a_fresh_batch() -> None:
    """The recursion by hand, on the Hessians of the examples that the same stream draws."""
    problem, given = problem_of("mlp", weight_decay=DECAY), PROBLEMS["mlp"]()
    gradient, stream, seen = dense(problem)[0], generator(7), []
    steps = []
    for _ in range(3):
        total = gradient.clone()
        for _ in range(4):
            ids = problem.retain.sample(5, stream).ids
            seen.append(tuple(ids.tolist()))
            image = hessian_of(loss_of(given, ids, DECAY), problem.start) @ total
            total = total + gradient - (image + 0.1 * total) / 6.0
        steps.append(-total / 6.0)
    method = full(runs=3, recursions=4, batch_size=5, damping=0.1, scale=6.0)
    theta = method(problem, generator=generator(7)).theta
    torch.testing.assert_close(theta, problem.start + torch.stack(steps).mean(0))
    assert len(set(seen)) > 9


def test_the_noise_is_always_added_with_the_variance_it_names() -> None:
    problem = problem_of("mlp")
    settled = {"recursions": 2, "scale": 50.0}
    still = full(**settled)(problem, generator=generator()).theta
    stream = generator()
    moves = torch.stack(
        [full(noise=0.02, **settled)(problem, generator=stream).theta - still for _ in range(40)]
    )
    count = moves.numel()
    assert abs(float(moves.mean())) < 4 * 0.02 / count**0.5
    assert abs(float(moves.var()) / 0.02**2 - 1) < 4 * (2 / count) ** 0.5


def test_the_whole_vector_is_projected_to_the_ball_before_the_noise() -> None:
    problem = problem_of("mlp")
    settled = {"recursions": 20, "scale": 20.0}
    free = full(**settled)(problem, generator=generator()).theta
    radius = 0.5 * float(free.norm())
    held = full(norm_bound=radius, **settled)(problem, generator=generator()).theta
    torch.testing.assert_close(held, 0.5 * free)
    noisy = full(norm_bound=radius, noise=0.5, **settled)(problem, generator=generator()).theta
    assert float(noisy.norm()) > 1.2 * radius


def test_a_scale_that_the_recursion_diverges_at_is_named() -> None:
    with pytest.raises(IllPosed, match="scale 0.001"):
        full(scale=1e-3, recursions=120)(problem_of("mlp"), generator=generator())


def test_what_the_series_leaves_is_said() -> None:
    problem = problem_of("mlp", weight_decay=DECAY)
    gradient, hessian = dense(problem)
    erasure = full(recursions=30, scale=10.0, damping=0.5)(problem, generator=generator())
    step = erasure.theta - problem.start
    left = (hessian @ step + 0.5 * step + gradient).norm() / gradient.norm()
    assert erasure.notes == (
        "no (epsilon, delta) guarantee",
        f"the series left {float(left):.3g} of the gradient",
    )


# The guarantee


def linear_regression() -> Problem:
    """Quadratic: its Hessian is constant, so M = 0 is true."""
    model = initialised(lambda: nn.Linear(4, 1))
    return Problem(model, TensorDataset(inputs(30, 4), inputs(30, 1, seed=3)), "mse")


def test_without_the_papers_condition_nothing_is_done_unless_asked_for() -> None:
    problem = problem_of("mlp")
    norm = float(torch.linalg.eigvalsh(dense(problem, 1e-2)[1]).abs().max())
    before = problem.retain.meter.gradients
    with pytest.raises(BadRequest, match="above .H.") as refused:
        ConstrainedNewton()(problem, generator=generator())
    assert "without_guarantee=True" in refused.value.remedy
    assert problem.retain.meter.gradients == before
    with pytest.raises(BadRequest, match="above .H."):
        ConstrainedNewton(damping=0.99 * norm)(problem, generator=generator())
    erasure = full(recursions=3)(problem, generator=generator())
    assert erasure.guarantee is None


def test_weights_outside_the_ball_have_no_guarantee() -> None:
    with pytest.raises(BadRequest, match="above norm_bound 0.1"):
        ConstrainedNewton(damping=1e3, norm_bound=0.1)(problem_of("mlp"), generator=generator())


def test_the_bound_is_the_papers_and_holds_where_all_it_rests_on_is_true() -> None:
    given = linear_regression()
    problem = problem_of(given, weight_decay=DECAY)
    loss = loss_of(given, problem.retain.ids, DECAY)
    zero = torch.zeros_like(problem.start)
    hessian, slope = hessian_of(loss, zero), torch.func.grad(loss)
    oracle = -torch.linalg.solve(hessian, slope(zero))
    values = torch.linalg.eigvalsh(hessian)
    bound = 1.01 * float(max(problem.start.norm(), oracle.norm()))
    damping = 1.2 * float(values[-1])
    method = ConstrainedNewton(
        runs=1, recursions=30, scale=3 * damping, batch_size=100, damping=damping, noise=0.0,
        norm_bound=bound, hessian_lipschitz=0.0, norm_products=5,
    )  # fmt: skip
    erasure = method(problem, generator=generator())
    found = erasure.guarantee
    assert found is not None
    inverse = torch.linalg.inv(hessian + damping * torch.eye(5, dtype=torch.float64))
    step = erasure.theta - problem.start
    residual = float(((hessian @ step + damping * step) + slope(problem.start)).norm())
    assert float((problem.start - inverse @ slope(problem.start)).norm()) < bound  # not projected
    expected = (2 * bound * damping + residual) / (damping + float(values[0]))
    assert found.distance == pytest.approx(expected, rel=1e-6)
    assert float((erasure.theta - oracle).norm()) <= found.distance
    measured = {constant.name: constant for constant in found.constants}
    assert measured["|H| at most"].value == pytest.approx(float(values[-1]), rel=1e-6)
    assert measured["lambda_min at least"].value == pytest.approx(float(values[0]), rel=1e-6)
    assert measured["Lipschitz constant M of H"].origin == "assumed"
    assert found.distance > bound  # it is never below C, so a noise of use is never small


def test_an_unknown_constant_gives_no_number() -> None:
    given = PROBLEMS["mlp"]()
    method = ConstrainedNewton(damping=500.0, runs=1, recursions=5, scale=2000.0)
    result = unlearn(given.model, given.dataset, given.loss, forget=[1, 4], method=method)
    assert result.guarantee is not None
    assert result.guarantee.distance is None
    assert math.isinf(result.guarantee.epsilon)
    said, rests = (note for note in result.notes if "epsilon" in note or "rests on" in note)
    assert said.startswith("no epsilon at delta 1e-05: distance at most unknown")
    assert "Lipschitz constant M of H (unknown)" in rests


def test_epsilon_is_the_gaussian_mechanisms_and_none_above_one() -> None:
    at = 2.0 * math.sqrt(2.0 * math.log(1.25e5)) / 0.5
    assert Guarantee(2.0, at, 1e-5, ()).epsilon == pytest.approx(0.5)
    assert math.isinf(Guarantee(2.0, 0.4 * at, 1e-5, ()).epsilon)
    assert math.isinf(Guarantee(2.0, 0.0, 1e-5, ()).epsilon)


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": 0}, {"recursions": 0}, {"scale": 0.0}, {"damping": -1.0}, {"noise": -1.0},
        {"norm_bound": 0.0}, {"hessian_lipschitz": -1.0}, {"delta": 1.0}, {"norm_products": 0},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadRequest):
        ConstrainedNewton(**wrong)  # type: ignore[arg-type]
