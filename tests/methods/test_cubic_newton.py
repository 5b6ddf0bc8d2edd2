"""What CuReNU and StoCuReNU promise of their steps, stops and certificates."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.cubic import DescentSolver, LanczosSolver
from curenu.erasure import Erasure, ErasureProblem
from curenu.errors import BadRequest
from curenu.methods import CuReNU, StoCuReNU
from curenu.objective import EmpiricalRisk
from curenu.status import Status
from tests.problems import Problem, generator, initialised, inputs, mlp

FORGET = [0, 3, 8]


def problem_of(problem: Problem) -> ErasureProblem:
    risk = EmpiricalRisk(
        problem.model,
        problem.dataset,
        problem.loss,
        weight_decay=problem.weight_decay,
        micro_batch_size=problem.micro_batch_size,
    )
    retain, forget = risk.split(FORGET)
    return ErasureProblem(risk.start, retain, forget)


def run(method: Any, problem: ErasureProblem | None = None) -> Erasure:
    return method(problem or problem_of(mlp()), generator=generator())


SOLVERS = ["eigen", "lanczos", "descent", LanczosSolver(memory_budget=0)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_accepted_step_lowers_the_objective(solver: Any) -> None:
    problem = problem_of(mlp())
    result = run(CuReNU(solver=solver, max_steps=6), problem)
    values = [record.value for record in result.trace]
    values.append(float(problem.retain.value(result.theta)))
    assert all(after < before for before, after in pairwise(values))
    for record in result.trace:
        assert record.accepted
        assert record.rho is not None
        assert record.rho >= 0.1
        assert record.damping == pytest.approx(0.5 * record.penalty * record.step_norm, rel=1e-6)


def test_it_converges_to_a_certified_second_order_point() -> None:
    problem = problem_of(mlp())
    result = run(CuReNU(solver="eigen", max_steps=200, tolerance=1e-6), problem)
    assert result.status is Status.CONVERGED
    certificate = result.certificate
    assert certificate is not None
    gradient = problem.retain.gradient(result.theta)
    lowest = torch.linalg.eigvalsh(problem.retain.linearise(result.theta).dense())[0]
    assert certificate.exact
    assert certificate.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-6)
    assert abs(certificate.lambda_min - float(lowest)) <= certificate.lambda_min_residual + 1e-12
    eps = certificate.epsilon
    assert float(gradient.norm()) <= eps * (1 + 1e-9)
    assert certificate.lambda_min >= -math.sqrt(certificate.penalty * eps) * (1 + 1e-9)
    first = result.trace[0].gradient_norm
    assert first is not None
    assert float(gradient.norm()) <= 1e-6 * first


def test_it_leaves_a_saddle_where_the_gradient_is_zero() -> None:
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    data = TensorDataset(inputs(12, 4), torch.arange(12) % 3)
    risk = EmpiricalRisk(model, data, "cross_entropy")
    retain, forget = risk.split([0, 1, 2])
    assert retain.gradient(risk.start).norm() < 1e-15
    problem = ErasureProblem(risk.start, retain, forget)
    for solver in ("eigen", "lanczos"):
        result = run(CuReNU(solver=solver, max_steps=3), problem)
        assert retain.value(result.theta) < retain.value(risk.start) - 1e-3


def test_a_sample_of_everything_is_curenu() -> None:
    whole = run(CuReNU(max_steps=2, certificate_products=0))
    sampled = run(StoCuReNU(max_steps=2, certificate_products=0, sample_size=10**6))
    torch.testing.assert_close(sampled.theta, whole.theta, rtol=1e-6, atol=1e-9)


def test_the_same_generator_gives_the_same_erasure() -> None:
    method = StoCuReNU(sample_size=6, max_steps=3)
    torch.testing.assert_close(run(method).theta, run(method).theta, rtol=0, atol=0)


def test_the_paper_presets_run_their_schedule() -> None:
    exact = run(CuReNU.paper(5.0, max_steps=3))
    assert exact.status is Status.SCHEDULE_DONE
    assert [record.penalty for record in exact.trace] == [5.0] * 3
    stochastic = StoCuReNU.paper(50.0, max_steps=4, sample_size=8, hvp_size=4)
    assert isinstance(stochastic.solver, DescentSolver)
    result = run(stochastic)
    assert len(result.trace) == 4
    assert all(record.rho is None for record in result.trace)


def test_a_larger_fixed_penalty_takes_a_shorter_step() -> None:
    norms = [
        run(CuReNU(solver="eigen", penalty=penalty, max_steps=1)).trace[0].step_norm
        for penalty in (0.1, 10.0, 1000.0)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_the_plan_bounds_the_work() -> None:
    problem = problem_of(mlp())
    for method in (CuReNU(), StoCuReNU(sample_size=6), StoCuReNU.paper(5.0, max_steps=3)):
        result = run(method, problem)
        assert result.cost.examples <= method.plan(problem).examples


@pytest.mark.parametrize(
    "make",
    [
        lambda: CuReNU(penalty=0.0),
        lambda: CuReNU(penalty="large"),  # type: ignore[arg-type]
        lambda: CuReNU(max_steps=0),
        lambda: CuReNU(tolerance=1.0),
        lambda: CuReNU(solver="magic"),
        lambda: StoCuReNU(sample_size=0),
        lambda: StoCuReNU(hvp_size=0),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any) -> None:
    with pytest.raises(BadRequest):
        make()
