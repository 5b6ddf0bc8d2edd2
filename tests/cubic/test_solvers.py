"""Every solver on every kind of model, against an answer computed apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curenu.cubic import (
    CubicModel,
    CubicStep,
    DescentSolver,
    EigenSolver,
    LanczosSolver,
    resolve_solver,
)
from curenu.errors import BadRequest
from tests.cubic.kinds import EASY, HARD, KINDS, SIZE, make
from tests.oracles import brute_force_cubic, cubic_change, solve_cubic, trust_region_step

EXACT = {
    "eigen": EigenSolver(),
    "lanczos": LanczosSolver(max_products=SIZE, tolerance=0.0),
}
PENALTIES = [1e-3, 1.0, 1e3]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES)
every_exact = pytest.mark.parametrize("solver", EXACT.values(), ids=EXACT)


def numbers(model: CubicModel) -> tuple[np.ndarray, np.ndarray, float]:
    assert isinstance(model.curvature, torch.Tensor)
    return model.gradient.double().numpy(), model.curvature.double().numpy(), model.penalty


def weight(model: CubicModel, step: CubicStep) -> float:
    """The size of the terms that cancel in ∇m: what a residual is relative to."""
    g, H, _ = numbers(model)
    length = float(step.step.double().norm())
    return float(np.linalg.norm(g) + (np.linalg.norm(H, 2) + step.damping) * length) + 1e-300


def precision(solver: object) -> float:
    """The random part of the Lanczos start, eps^(2/3) of g, is the floor of its residual."""
    return 1e-13 if isinstance(solver, EigenSolver) else 1e-9


@every_exact
@every_penalty
@every_kind
def test_the_step_is_the_global_minimiser(kind: str, penalty: float, solver) -> None:
    model = make(kind, penalty)
    g, H, M = numbers(model)
    step = solver(model)
    s, scale, rounding = step.step.numpy(), weight(model, step), precision(solver)
    assert np.linalg.norm(g + H @ s + M / 2 * np.linalg.norm(s) * s) <= rounding * scale
    assert np.linalg.eigvalsh(H)[0] + step.damping >= -rounding * max(np.linalg.norm(H, 2), 1e-300)
    assert step.damping == pytest.approx(M / 2 * np.linalg.norm(s), rel=1e-9)
    best = cubic_change(g, H, M, solve_cubic(g, H, M))
    here = cubic_change(g, H, M, s)
    assert here <= best + 1e-9 * abs(best)
    assert here <= cubic_change(g, H, M, -s) + 1e-9 * abs(best)
    assert step.change == pytest.approx(here, rel=1e-6, abs=1e-12 * scale * np.linalg.norm(s))


@every_penalty
@every_kind
def test_the_value_at_a_solution_needs_no_matrix(kind: str, penalty: float) -> None:
    model = make(kind, penalty)
    step = EigenSolver()(model)
    length = float(step.step.norm())
    identity = 0.5 * float(model.gradient @ step.step) - penalty / 12 * length**3
    terms = weight(model, step) * length
    assert step.change == pytest.approx(identity, rel=1e-9, abs=1e-13 * terms)


@pytest.mark.parametrize("kind", [k for k in KINDS if "near" not in k])
def test_the_hard_case_is_reported_and_nothing_else_is(kind: str) -> None:
    step = EigenSolver()(make(kind, 1.0))
    assert step.hard_case == (kind in HARD)
    assert step.residual <= 1e-12 * weight(make(kind, 1.0), step)
    assert step.lambda_min == pytest.approx(
        np.linalg.eigvalsh(numbers(make(kind, 1.0))[1])[0], rel=1e-9, abs=1e-15
    )


@pytest.mark.parametrize("kind", EASY)
def test_the_step_solves_the_trust_region_problem_of_its_length(kind: str) -> None:
    model = make(kind, 1.0)
    g, H, _ = numbers(model)
    s = EigenSolver()(model).step.numpy()
    other = trust_region_step(g, H, float(np.linalg.norm(s)))
    mine, theirs = (g @ x + 0.5 * x @ H @ x for x in (s, other))
    assert mine <= theirs + 1e-9 * abs(theirs)
    assert mine == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_no_local_search_finds_a_lower_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(3, 3))
    H, g = H + H.T, rng.normal(size=3)
    model = CubicModel(torch.from_numpy(g), torch.from_numpy(H), 2.0)
    lowest = brute_force_cubic(g, H, 2.0)
    assert EigenSolver()(model).change == pytest.approx(lowest, rel=1e-8)


@every_kind
def test_float32_gives_the_float64_step(kind: str) -> None:
    wide, narrow = make(kind, 1.0), make(kind, 1.0, torch.float32)
    expected, step = EigenSolver()(wide), EigenSolver()(narrow)
    assert step.step.dtype == torch.float32
    g, H, M = numbers(wide)
    reached = cubic_change(g, H, M, step.step.double().numpy())
    assert reached <= expected.change + 1e-4 * abs(expected.change) + 1e-30


@pytest.mark.parametrize("kind", EASY)
def test_lanczos_in_float32_meets_its_tolerance(kind: str) -> None:
    model = make(kind, 1.0, torch.float32)
    step = LanczosSolver(tolerance=1e-3)(model)
    measured = float(model.residual(step.step).norm())
    assert step.step.dtype == torch.float32
    allowed = 1e-3 * min(1.0, float(step.step.norm())) * float(model.gradient.norm())
    assert measured <= 1.1 * allowed + 1e-5 * weight(model, step)


@pytest.mark.parametrize("kind", EASY)
def test_descent_never_rises_above_the_cauchy_point_and_converges(kind: str) -> None:
    model = make(kind, 1.0)
    g, H, M = numbers(model)
    best = cubic_change(g, H, M, solve_cubic(g, H, M))
    changes = [DescentSolver(iterations=n)(model).change for n in (0, 1, 10, 4000)]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] < 0
    assert changes[-1] <= best + 1e-6 * abs(best)


@every_penalty
@every_kind
def test_descent_is_between_the_cauchy_point_and_the_minimum(kind: str, penalty: float) -> None:
    model = make(kind, penalty)
    g, H, M = numbers(model)
    best = cubic_change(g, H, M, solve_cubic(g, H, M))
    cauchy, step = DescentSolver(iterations=0)(model), DescentSolver()(model)
    assert best - 1e-6 * abs(best) <= step.change <= cauchy.change <= 0
    assert step.change == pytest.approx(model.change(step.step), rel=1e-9)
    measured = float(model.residual(step.step).norm())
    assert step.residual == pytest.approx(measured, rel=1e-9, abs=1e-13 * weight(model, step))


@pytest.mark.parametrize("solver", ["eigen", "lanczos", "descent"])
def test_another_penalty_costs_what_the_solver_says(solver: str) -> None:
    model = make("indefinite", 1.0)
    factorised = resolve_solver(solver).factorise(model)
    one = factorised.solve(1.0).cost.hvps
    again = factorised.solve(10.0)
    fresh = resolve_solver(solver)(make("indefinite", 10.0))
    assert again.cost.hvps == (one + 12 if solver == "descent" else one)
    assert fresh.change == pytest.approx(again.change, rel=0.05)
    assert resolve_solver(solver).budget(SIZE).products >= one


def test_unknown_solvers_are_refused_by_name() -> None:
    with pytest.raises(BadRequest, match="eigen, lanczos, descent"):
        resolve_solver("magic")
    with pytest.raises(BadRequest, match="no solver"):
        resolve_solver(EigenSolver)  # type: ignore[arg-type]
