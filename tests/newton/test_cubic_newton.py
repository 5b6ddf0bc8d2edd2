"""What CuReNU and StoCuReNU promise of their steps, stops and certificates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from curenu.cubic import DescentSolver, LanczosSolver
from curenu.erasure import Erasure, ErasureProblem
from curenu.errors import BadRequest, UnsupportedModel
from curenu.methods import CuReNU, StoCuReNU
from curenu.risks import AnchoredRisk, EmpiricalRisk, Objective
from curenu.status import Status
from tests.problems import PROBLEMS, Problem, classes, generator, initialised, inputs, mlp

FORGET = [0, 3, 8]


def problem_of(problem: Problem, forget: Sequence[int] = FORGET) -> ErasureProblem:
    risk = EmpiricalRisk(
        problem.model,
        problem.dataset,
        problem.loss,
        weight_decay=problem.weight_decay,
        micro_batch_size=problem.micro_batch_size,
    )
    return ErasureProblem(risk.start, *risk.split(forget))


def noisy() -> Problem:
    """Labels that have nothing to do with the inputs: small samples mislead."""
    return Problem(mlp().model, TensorDataset(inputs(60, 4), classes(60, 3)), "cross_entropy")


def run(method: Any, problem: ErasureProblem | None = None) -> Erasure:
    return method(problem or problem_of(mlp()), generator=generator())


SOLVERS = ["eigen", "lanczos", "descent", LanczosSolver(memory_budget=0)]
PLAIN: Any = {"objective": "retain", "preconditioner": "none"}


def objective_of(problem: ErasureProblem, aim: str) -> Objective:
    if aim == "retain":
        return problem.retain
    return AnchoredRisk(problem.retain, problem.forget, problem.start)


@pytest.mark.parametrize("aim", ["retain", "anchored"])
@pytest.mark.parametrize("preconditioner", ["none", "kfac"])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_accepted_step_lowers_the_objective(
    solver: Any, aim: Any, preconditioner: Any, curvature: Any
) -> None:
    problem = problem_of(mlp())
    method = CuReNU(
        objective=aim,
        preconditioner=preconditioner,
        curvature=curvature,
        solver=solver,
        max_steps=6,
    )
    result = run(method, problem)
    values = [record.value for record in result.trace]
    values.append(float(objective_of(problem, aim).value(result.theta)))
    assert all(after < before for before, after in pairwise(values))
    for record in result.trace:
        assert record.accepted
        assert record.rho is not None
        assert record.rho >= 0.1
        assert record.damping == pytest.approx(0.5 * record.penalty * record.step_norm, rel=1e-6)


def test_it_converges_to_a_certified_second_order_point() -> None:
    problem = problem_of(mlp())
    result = run(CuReNU(solver="eigen", max_steps=200, tolerance=1e-6, **PLAIN), problem)
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
        result = run(CuReNU(solver=solver, max_steps=3, **PLAIN), problem)
        assert retain.value(result.theta) < retain.value(risk.start) - 1e-3


def test_a_sample_of_everything_is_curenu() -> None:
    whole = run(CuReNU(max_steps=2, certificate_products=0, **PLAIN))
    everything = StoCuReNU(
        solver="lanczos",
        sample_size=10**6,
        max_steps=2,
        average=0.0,
        tolerance=1e-3,
        **PLAIN,
    )
    torch.testing.assert_close(run(everything).theta, whole.theta, rtol=1e-6, atol=1e-9)


def test_the_result_is_the_mean_of_the_last_steps() -> None:
    arguments: Any = {"sample_size": 6, "hvp_size": None, **PLAIN}
    lasts = [
        run(StoCuReNU(max_steps=steps, average=0.0, **arguments)).theta for steps in (1, 2, 3, 4)
    ]
    half = run(StoCuReNU(max_steps=4, average=0.5, **arguments)).theta
    torch.testing.assert_close(half, (lasts[2] + lasts[3]) / 2)
    assert not torch.allclose(half, lasts[3], rtol=1e-3)


def test_a_result_worse_on_examples_set_aside_is_tried_on_larger_samples() -> None:
    problem = problem_of(noisy())
    result = run(StoCuReNU(sample_size=2, solver="eigen", max_steps=3, average=0.0), problem)
    (grown,) = [note for note in result.notes if note.startswith("samples grown to")]
    assert int(grown.split()[-1]) > 2
    assert len(result.trace) > 3
    objective = objective_of(problem, "anchored")
    assert objective.value(result.theta) < objective.value(problem.start)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_defaults_take_any_model_and_lower_the_objective(name: str) -> None:
    problem = problem_of(PROBLEMS[name](), forget=[0, 3])
    result = run(StoCuReNU(), problem)
    assert result.theta.isfinite().all()
    objective = objective_of(problem, "anchored")
    assert objective.value(result.theta) < objective.value(problem.start)


def test_words_that_nobody_knows_are_refused() -> None:
    for name in ("objective", "curvature", "preconditioner"):
        with pytest.raises(BadRequest, match=name):
            StoCuReNU(**{name: "magic"})  # type: ignore[arg-type]


def test_what_was_taken_is_in_the_notes() -> None:
    assert run(StoCuReNU()).notes[:2] == ("objective anchored", "curvature gauss-newton")
    assert "K-FAC metric from 14 retained examples" in run(CuReNU(preconditioner="kfac")).notes
    hidden = PROBLEMS["mapping"]()  # a function of the model and a batch shows no outputs
    risk = EmpiricalRisk(hidden.model, hidden.dataset, hidden.loss)
    problem = ErasureProblem(risk.start, *risk.split(FORGET))
    notes = run(StoCuReNU(), problem).notes
    assert notes[1] == "curvature hessian"
    assert notes[2].startswith("no preconditioner: K-FAC needs")
    with pytest.raises(UnsupportedModel, match="K-FAC needs"):
        run(StoCuReNU(preconditioner="kfac"), problem)


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
        run(CuReNU(solver="eigen", penalty=penalty, max_steps=1, **PLAIN)).trace[0].step_norm
        for penalty in (0.1, 10.0, 1000.0)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_the_plan_bounds_the_work() -> None:
    problem = problem_of(mlp())
    for method in (CuReNU(), StoCuReNU(), StoCuReNU.paper(5.0, max_steps=3)):
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
