"""TrustRegionNewton: its steps, its radius, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from curenu.errors import UnsupportedModel
from curenu.methods import TrustRegionNewton
from curenu.status import Status
from tests.methods.dense import hessian_of, loss_of
from tests.methods.test_rivals import problem_of
from tests.oracles import solve_cubic
from tests.problems import PROBLEMS, generator

DECAY = 1e-2


@pytest.mark.parametrize("products", [None, 51])
def test_at_its_radius_one_step_is_the_cubic_step_of_the_dense_hessian(
    products: int | None,
) -> None:
    problem = problem_of("mlp")
    loss = loss_of(PROBLEMS["mlp"](), problem.retain.ids, DECAY)
    gradient, hessian = torch.func.grad(loss)(problem.start), hessian_of(loss, problem.start)
    cubic = solve_cubic(gradient.numpy(), hessian.numpy(), 3.0)
    size = float(np.linalg.norm(cubic))
    method = TrustRegionNewton(radius=size, max_steps=1, max_products=products)
    erasure = method(problem, generator=generator())
    (record,) = erasure.trace
    moved = (erasure.theta - problem.start).numpy()
    np.testing.assert_allclose(moved, cubic, rtol=1e-5, atol=1e-7)
    assert record.damping == pytest.approx(1.5 * size, rel=1e-5)
    after = loss(problem.start + torch.from_numpy(cubic)) - loss(problem.start)
    model = gradient.numpy() @ cubic + 0.5 * cubic @ hessian.numpy() @ cubic
    assert record.rho == pytest.approx(float(after) / model, rel=1e-4)


def test_every_accepted_step_lowers_the_loss_and_stays_in_its_radius() -> None:
    problem = problem_of("mlp")
    loss = loss_of(PROBLEMS["mlp"](), problem.retain.ids, DECAY)
    method = TrustRegionNewton(radius=4.0, max_steps=5, max_products=None)
    points, radius = [problem.start], 4.0
    for steps in range(1, 6):
        points.append(replace(method, max_steps=steps)(problem, generator=generator()).theta)
    trace = method(problem, generator=generator()).trace
    assert len(trace) == 5
    for before, after, record in zip(points, points[1:], trace, strict=False):
        assert float((after - before).norm()) <= radius * (1 + 1e-9)
        assert loss(after) < loss(before)
        assert record.rho is not None
        assert record.rho > 0.1
        radius *= 2.0  # at most


def test_a_step_that_the_model_is_wrong_about_is_tried_shorter() -> None:
    """From a start where the loss rises steeply far out: the first radius is too long."""
    problem = problem_of("mlp")
    erasure = TrustRegionNewton(radius=500.0, max_steps=1, max_products=None)(
        problem, generator=generator()
    )
    (record,) = erasure.trace
    assert record.accepted
    assert record.step_norm is not None
    assert record.step_norm < 500.0 / 4
    one = TrustRegionNewton(radius=500.0, max_steps=1, max_products=None, attempts=1)
    stayed = one(problem, generator=generator())
    assert stayed.status is Status.STALLED
    assert torch.equal(stayed.theta, problem.start)


def test_it_ends_at_a_stationary_point_of_the_retain_objective() -> None:
    problem = problem_of("logistic")
    loss = loss_of(PROBLEMS["logistic"](), problem.retain.ids, DECAY)
    method = TrustRegionNewton(max_steps=30, max_products=None, tolerance=1e-6)
    erasure = method(problem, generator=generator())
    assert erasure.status is Status.CONVERGED
    slope = torch.func.grad(loss)
    assert slope(erasure.theta).norm() <= 1e-6 * slope(problem.start).norm()
    assert len(erasure.trace) < 30


def test_a_dense_matrix_that_does_not_fit_is_refused_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curenu.autodiff.linearisation.available_memory", lambda device: 1000)
    with pytest.raises(UnsupportedModel, match="dense Hessian of 51 parameters .* GiB"):
        TrustRegionNewton(max_products=None)(problem_of("mlp"), generator=generator())
