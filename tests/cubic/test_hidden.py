"""What the gradient hides: the second Krylov block, where it is run and where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, EigenSolver, LanczosSolver
from curenu.operators import ComplementSpace, Coordinates, KrylovSpace, kronecker_metric
from curenu.risks import AnchoredRisk, EmpiricalRisk
from curenu.status import Status
from tests.cubic.kinds import KINDS, line, make, ones, rotated
from tests.problems import classes, generator, initialised, inputs

SIZE = 40
PENALTIES = [0.01, 1.0, 5.0]
DTYPES = [torch.float64, torch.float32]


class Counted:
    """Products of a float64 matrix, counted; with what it says of its own signs."""

    def __init__(self, matrix: Tensor, positive_semidefinite: bool = False) -> None:
        self.matrix, self.count = matrix, 0
        self.positive_semidefinite = positive_semidefinite

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.count += 1
        return self.matrix.to(vector.dtype) @ vector


def far_out() -> Tensor:
    """The lowest eigenvalue stands apart: what is hidden is most of the decrease."""
    return torch.cat([line(-6, -6, 1), line(-3, 4, SIZE - 1)])


SPECTRA = {"a line": lambda: line(-3, 4, SIZE), "one far out": far_out}
every_spectrum = pytest.mark.parametrize("spectrum", SPECTRA)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def hiding(spectrum: str, part: float = 0.0) -> tuple[Tensor, Tensor]:
    """(g, H) with so large a part of g along the lowest eigenvector."""
    coefficients = ones(SIZE)
    coefficients[0] = part
    return rotated(SPECTRA[spectrum](), coefficients)


def falls(
    g: Tensor, H: Tensor, penalty: float, solver: LanczosSolver, dtype: torch.dtype
) -> tuple[float, float]:
    """(what the solver's step lowers the model by, what the best one does), in float64."""
    wide = CubicModel(g, H, penalty)
    step = solver(CubicModel(g.to(dtype), Counted(H), penalty)).step
    return -wide.change(step.double()), -EigenSolver()(wide).change


@every_dtype
@every_penalty
@every_spectrum
def test_the_default_misses_no_more_than_its_tolerance(
    spectrum: str, penalty: float, dtype: torch.dtype
) -> None:
    solver = LanczosSolver()
    found, best = falls(*hiding(spectrum), penalty, solver, dtype)
    assert (1.0 - solver.tolerance) * best <= found <= (1.0 + 1e-5) * best


def test_the_krylov_space_of_the_gradient_alone_misses_most_of_it() -> None:
    found, best = falls(
        *hiding("one far out"), 0.01, LanczosSolver(hidden_products=0), torch.float64
    )
    assert found < 0.3 * best


@every_dtype
@every_penalty
@every_spectrum
@pytest.mark.parametrize("part", [0.0, 1e-14, 1e-9, 1e-5, 1e-2])
def test_without_a_tolerance_nothing_is_missed(
    spectrum: str, part: float, penalty: float, dtype: torch.dtype
) -> None:
    solver = LanczosSolver(max_products=SIZE, tolerance=0.0)
    found, best = falls(*hiding(spectrum, part), penalty, solver, dtype)
    assert found == pytest.approx(best, rel=1e-6)


@every_dtype
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", KINDS)
def test_on_every_kind_of_model_the_default_is_within_its_tolerance(
    kind: str, penalty: float, dtype: torch.dtype
) -> None:
    model = make(kind, penalty)
    assert isinstance(model.curvature, Tensor)
    for solver, slack in ((LanczosSolver(), 0.1), (LanczosSolver(tolerance=0.0), 1e-6)):
        found, best = falls(model.gradient, model.curvature, penalty, solver, dtype)
        # Rounding of the products is relative to |H||s|² and |g||s|, not to their difference.
        length = float(EigenSolver()(model).step.norm())
        terms = length * float(model.gradient.norm())
        terms += length**2 * float(torch.linalg.matrix_norm(model.curvature, 2))
        rounding = 100 * torch.finfo(dtype).eps * terms
        assert found >= (1.0 - slack) * best - rounding


def test_the_scale_of_the_objective_changes_neither_step_nor_products() -> None:
    g, H = hiding("one far out")
    plain = LanczosSolver()(CubicModel(g, H, 1.0))
    for scale in (2.0**-60, 2.0**40):
        scaled = LanczosSolver()(CubicModel(scale * g, scale * H, scale))
        torch.testing.assert_close(scaled.step, plain.step, rtol=1e-9, atol=1e-12)
        assert scaled.cost.hvps == plain.cost.hvps


def test_other_penalties_cost_no_product_and_report_the_measured_residual() -> None:
    g, H = hiding("one far out")
    operator = Counted(H)
    reduced = LanczosSolver().factorise(CubicModel(g, operator, 1.0))
    spent = operator.count
    for penalty in (1e-3, 0.1, 1.0, 10.0, 1e3):
        step = reduced.solve(penalty)
        model = CubicModel(g, H, penalty)
        assert operator.count == spent == step.cost.hvps
        assert step.residual == pytest.approx(float(model.residual(step.step).norm()), rel=1e-6)
        assert step.change == pytest.approx(model.change(step.step), rel=1e-9)
        assert step.change <= 0.85 * EigenSolver()(model).change
    assert step.lambda_min == pytest.approx(-6.0, rel=0.05)


def test_a_search_that_ends_early_spends_few_products() -> None:
    """A step so damped that nothing hidden could matter."""
    operator = Counted(hiding("one far out")[1])
    step = LanczosSolver()(CubicModel(hiding("one far out")[0], operator, 1e4))
    alone = LanczosSolver(hidden_products=0)(CubicModel(hiding("one far out")[0], operator, 1e4))
    assert step.status is Status.CONVERGED
    assert step.cost.hvps <= alone.cost.hvps + 4


def test_an_operator_that_is_positive_semidefinite_costs_no_product_more() -> None:
    g, H = rotated(line(0, 4, SIZE), ones(SIZE))
    counts, steps = {}, {}
    for name, said, solver in (
        ("told", True, LanczosSolver()),
        ("not looked for", False, LanczosSolver(hidden_products=0)),
        ("not told", False, LanczosSolver()),
    ):
        operator = Counted(H, said)
        steps[name] = solver(CubicModel(g, operator, 1e-2))
        counts[name] = operator.count
        assert steps[name].cost.hvps == operator.count
    assert counts["told"] == counts["not looked for"] < counts["not told"]
    assert torch.equal(steps["told"].step, steps["not looked for"].step)


def risk_of(loss: Any) -> EmpiricalRisk:
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    return EmpiricalRisk(model, TensorDataset(inputs(30, 4), classes(30, 3)), loss)


def test_an_objective_says_when_its_products_cannot_be_negative() -> None:
    def product_of(loss: Any, kind: Any) -> list[Any]:
        retain, forget = risk_of(loss).split([1, 2])
        both = (retain, AnchoredRisk(retain, forget, retain.start))
        return [objective.linearise(objective.start, curvature=kind) for objective in both]

    def own(outputs: Tensor, target: Tensor) -> Tensor:
        return (1.0 - outputs.softmax(1).gather(1, target.unsqueeze(1))).sum()  # not convex

    for curvature in product_of("cross_entropy", "gauss_newton"):
        assert curvature.positive_semidefinite
        assert float(torch.linalg.eigvalsh(curvature.dense())[0]) >= -1e-12
    for loss, kind in (("cross_entropy", "hessian"), (own, "gauss_newton"), (own, "hessian")):
        assert not any(c.positive_semidefinite for c in product_of(loss, kind))


def test_a_metric_passes_on_that_products_cannot_be_negative() -> None:
    risk = risk_of("cross_entropy")
    metric = kronecker_metric(risk, risk.start, generator())
    view = Coordinates(risk.start, metric).view(risk)
    start = torch.zeros_like(risk.start)
    said = [view.linearise(start, curvature=kind) for kind in ("gauss_newton", "hessian")]
    assert [bool(getattr(c, "positive_semidefinite")) for c in said] == [True, False]  # noqa: B009


def test_a_small_basis_is_kept_on_no_budget_and_serves_every_penalty() -> None:
    g, H = hiding("a line")
    for products, passes in ((3, 1), (8, 1), (9, 2)):
        operator = Counted(H)
        solver = LanczosSolver(products, 0.0, memory_budget=0, hidden_products=0)
        reduced = solver.factorise(CubicModel(g, operator, 1.0))
        for penalty in (0.1, 1.0, 10.0):
            reduced.solve(penalty)
        assert operator.count == (products if passes == 1 else 4 * products)
        assert solver.budget(SIZE).products == passes * products


def test_both_blocks_share_one_budget() -> None:
    g, H = hiding("a line")
    row = SIZE * 8
    for budget, expected in ((0, 3 + 5), (10 * row, 3 + 7), (None, 3 + 20)):
        operator = Counted(H)
        solver = LanczosSolver(3, 0.0, memory_budget=budget, hidden_products=20)
        solver(CubicModel(g, operator, 1.0))
        most = solver.budget(SIZE)
        assert operator.count == expected <= most.products + most.hidden


def test_nothing_is_looked_for_beside_a_basis_that_is_not_stored() -> None:
    g, H = hiding("one far out")
    operator = Counted(H)
    LanczosSolver(12, 0.0, memory_budget=0)(CubicModel(g, operator, 1.0))
    assert operator.count == 2 * 12
    assert LanczosSolver(12, 0.0, memory_budget=0).budget(SIZE).hidden == 0


def test_a_formed_matrix_is_searched_without_passing_an_example() -> None:
    class Formed(Counted):
        def dense(self, memory_budget: int | None = None) -> Tensor:
            return self.matrix

    g, H = hiding("one far out")
    operator = Formed(H)
    step = LanczosSolver(dense=True)(CubicModel(g, operator, 0.01))
    assert operator.count == 0
    assert step.cost.hvps == SIZE
    assert step.change <= 0.9 * EigenSolver()(CubicModel(g, H, 0.01)).change
    budget = LanczosSolver(dense=True).budget(SIZE)
    assert (budget.products, budget.hidden, budget.vectors) == (SIZE, 0, 20 + 4 + 20)


@pytest.mark.parametrize("first", [1, 7, 25])
@pytest.mark.parametrize("second", [1, 6, 15])
def test_two_blocks_are_one_projection_of_the_matrix(first: int, second: int) -> None:
    g, H = hiding("a line", 0.3)
    space = KrylovSpace(H, g.clone, limit=first, keep=first)
    list(space.grow())
    beside = ComplementSpace(H, space, generator(), limit=second)
    list(beside.grow())
    size = first + second
    W = torch.stack([beside.combine(row) for row in np.eye(size)]).numpy()
    assert np.abs(W @ W.T - np.eye(size)).max() <= 1e-12
    projected = W @ H.numpy() @ W.T
    assert beside.joint_pairs()[0] == pytest.approx(np.linalg.eigvalsh(projected), abs=1e-12)
    coordinates = np.cos(np.arange(size))
    image = H.numpy() @ (W.T @ coordinates)
    missed = np.linalg.norm(image - W.T @ (W @ image))
    assert beside.leads_out(coordinates) == pytest.approx(missed, rel=1e-8)
