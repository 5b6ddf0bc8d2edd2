"""What only one of the solvers promises: budgets, passes, refusals, escapes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from curenu.cubic import CubicModel, DescentSolver, EigenSolver, LanczosSolver
from curenu.cubic.eigen import solve_diagonal
from curenu.errors import BadRequest, IllPosed, NotConverged, UnsupportedModel
from curenu.status import Status
from tests.cubic.kinds import EASY, HARD, KINDS, make


class Diagonal:
    """Products only, counted."""

    def __init__(self, entries: Tensor) -> None:
        self.entries, self.count = entries, 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.count += 1
        return self.entries * vector


def diagonal(size: int = 300, penalty: float = 2.0) -> CubicModel:
    entries = torch.linspace(-1, 3, size, dtype=torch.float64)
    return CubicModel(torch.ones(size, dtype=torch.float64), Diagonal(entries), penalty)


class Formed(Diagonal):
    """Its matrix can be had as well."""

    def dense(self, memory_budget: int | None = None) -> Tensor:
        return torch.diag(self.entries)


def test_lanczos_on_the_formed_matrix_takes_the_exact_step_and_passes_no_example() -> None:
    operator = Formed(torch.linspace(-1, 3, 120, dtype=torch.float64))
    generator = torch.Generator().manual_seed(4)
    gradient = torch.randn(120, dtype=torch.float64, generator=generator)
    model = CubicModel(gradient, operator, 0.5)
    exact = EigenSolver()(model)
    found = LanczosSolver(max_products=120, tolerance=1e-10, dense=True)(model)
    assert operator.count == 0
    assert found.cost.hvps == 120
    assert found.damping == pytest.approx(exact.damping, rel=1e-8)
    torch.testing.assert_close(found.step, exact.step, rtol=1e-6, atol=1e-8)
    budget = LanczosSolver(dense=True).budget(120)
    assert (budget.products, budget.matrices) == (120, 2)


def test_a_matrix_that_cannot_be_formed_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="LanczosSolver"):
        LanczosSolver(dense=True)(diagonal())


def test_a_dense_solver_sends_operators_to_lanczos() -> None:
    with pytest.raises(UnsupportedModel, match="LanczosSolver"):
        EigenSolver()(diagonal())


def test_a_matrix_beyond_the_memory_budget_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="memory_budget"):
        EigenSolver(memory_budget=100)(make("indefinite", 1.0))


def test_an_asymmetric_matrix_is_refused_at_any_scale() -> None:
    for scale in (1e-6, 1.0, 1e6):
        H = scale * torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
        with pytest.raises(BadRequest, match="symmetric"):
            EigenSolver()(CubicModel(torch.ones(2, dtype=torch.float64), H, 1.0))


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("nan"), float("inf")])
def test_a_penalty_that_is_not_positive_is_refused(penalty: float) -> None:
    with pytest.raises(BadRequest, match="penalty"):
        make("indefinite", penalty)


@pytest.mark.parametrize(
    "solver",
    [
        lambda: LanczosSolver(max_products=0),
        lambda: LanczosSolver(tolerance=-1.0),
        lambda: LanczosSolver(hidden_products=-1),
        lambda: DescentSolver(iterations=-1),
        lambda: DescentSolver(step_size=0.0),
        lambda: DescentSolver(perturbation=-1.0),
    ],
)
def test_solver_settings_that_cannot_be_meant_are_refused(solver) -> None:
    with pytest.raises(BadRequest):
        solver()


@pytest.mark.parametrize("kind", KINDS)
def test_two_passes_give_the_step_of_the_stored_basis(kind: str) -> None:
    model = make(kind, 1.0)
    stored = LanczosSolver(9, 0.0, hidden_products=0)(model)
    twice = LanczosSolver(9, 0.0, memory_budget=0, hidden_products=0)(model)
    torch.testing.assert_close(twice.step, stored.step, rtol=1e-6, atol=1e-9)
    # Without reorthogonalisation an exhausted space is noticed later, never earlier. One of
    # up to eight vectors is stored on any budget.
    few = len(model.gradient) <= 8
    assert twice.cost.hvps in ({stored.cost.hvps} if few else {2 * stored.cost.hvps, 2 * 9})


def test_products_are_counted_and_the_tolerance_saves_them() -> None:
    for solver in (LanczosSolver(40, 0.0), LanczosSolver(40, 0.1), LanczosSolver(9, 0.0, 0)):
        model = diagonal()
        step = solver(model)
        most = solver.budget(300)
        assert model.curvature.count == step.cost.hvps <= most.products + most.hidden  # type: ignore[union-attr]
    early, late = LanczosSolver(40, 0.1)(diagonal()), LanczosSolver(40, 0.0)(diagonal())
    assert early.cost.hvps < late.cost.hvps == 40 + 40
    assert early.status is Status.CONVERGED
    assert late.status is Status.PRODUCT_LIMIT


def test_the_reported_lanczos_residual_is_the_measured_one() -> None:
    for budget in (None, 0):
        for count in (2, 5, 15):
            model = diagonal()
            step = LanczosSolver(count, 0.0, budget, hidden_products=0)(model)
            measured = float(model.residual(step.step).norm())
            assert step.residual == pytest.approx(measured, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", sorted(HARD))
def test_the_second_block_finds_the_eigenvector_the_gradient_hides(kind: str) -> None:
    model = make(kind, 1.0)
    exact = EigenSolver()(model)
    step = LanczosSolver(tolerance=0.0)(model, generator=torch.Generator().manual_seed(5))
    assert step.change == pytest.approx(exact.change, rel=1e-8)
    assert step.hard_case
    assert step.lambda_min == pytest.approx(exact.lambda_min, rel=1e-8)


@pytest.mark.parametrize("part", [-0.05, 0.05])
def test_a_negligible_part_of_the_gradient_still_chooses_the_side(part: float) -> None:
    found = solve_diagonal(np.array([-3.0, 2.0]), np.array([part, 0.1]), 1.0, negligible=0.1)
    assert found.hard_case
    assert found.damping == 3.0
    assert found.solution[0] * part < 0


def test_without_the_second_block_the_hidden_eigenvector_can_stay_hidden() -> None:
    H = torch.diag(torch.tensor([-3.0, 1.0, 2.0], dtype=torch.float64))
    model = CubicModel(torch.tensor([0.0, 0.1, 0.1], dtype=torch.float64), H, 1.0)
    blind = LanczosSolver(tolerance=0.0, hidden_products=0)(model)
    seeing = LanczosSolver(tolerance=0.0)(model)
    assert blind.lambda_min is not None
    assert blind.lambda_min > 0
    assert seeing.change < 10 * blind.change < 0


def test_products_that_are_not_finite_are_named() -> None:
    broken = Diagonal(torch.full((5,), float("nan"), dtype=torch.float64))
    model = CubicModel(torch.ones(5, dtype=torch.float64), broken, 1.0)
    with pytest.raises(IllPosed, match="Hessian-vector"):
        LanczosSolver()(model)


class LivePeak(TorchDispatchMode):
    """The most vectors of `size` float64 alive at once, made inside the block, but `given`."""

    def __init__(self, size: int, *given: Tensor) -> None:
        super().__init__()
        self.size, self.peak = size, 0
        self.given = {tensor.untyped_storage()._cdata for tensor in given}
        self.alive: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if storage.nbytes() >= self.size * 8 and key not in self.alive | self.given:
                    self.alive.add(key)
                    weakref.finalize(storage, self.alive.discard, key)
        self.peak = max(self.peak, len(self.alive))
        return made


def peak(solver: Any, size: int = 3000) -> int:
    model = diagonal(size)
    gc.collect()
    with LivePeak(size, model.gradient, model.curvature.entries) as live:  # type: ignore[union-attr]
        solver(model)
    return live.peak


def test_two_pass_lanczos_holds_a_fixed_number_of_vectors() -> None:
    few = peak(LanczosSolver(9, 0.0, memory_budget=0))
    many = peak(LanczosSolver(40, 0.0, memory_budget=0))
    assert few == many == LanczosSolver(40, memory_budget=0).budget(3000).vectors


@pytest.mark.parametrize("perturbation", [0.0, 0.1])
def test_descent_holds_a_fixed_number_of_vectors(perturbation: float) -> None:
    few = peak(DescentSolver(2, perturbation=perturbation))
    many = peak(DescentSolver(30, perturbation=perturbation))
    assert few == many == DescentSolver(perturbation=perturbation).budget(3000).vectors


@pytest.mark.parametrize("iterations", [3, 10, 2000])
def test_descent_with_too_large_a_step_size_says_so(iterations: int) -> None:
    solver = DescentSolver(iterations=iterations, step_size=5.0)
    with pytest.raises(NotConverged, match=r"step_size 5 must stay below 2/lambda_max, 0\.4 "):
        solver(make("positive definite", 1.0))


@pytest.mark.parametrize("seed", range(5))
def test_perturbed_descent_leaves_a_saddle(seed: int) -> None:
    model = make("zero gradient, indefinite", 1.0)
    stuck = DescentSolver(iterations=200)(model)
    source = torch.Generator().manual_seed(seed)
    left = DescentSolver(iterations=200, perturbation=1e-3)(model, generator=source)
    assert float(stuck.step.norm()) == 0.0
    assert left.change <= 0.9 * EigenSolver()(model).change


def test_the_automatic_step_size_does_not_diverge_on_any_kind() -> None:
    for kind in [*EASY, *HARD]:
        for penalty in (1e-4, 1e4):
            assert DescentSolver(iterations=50)(make(kind, penalty)).change <= 0


def test_the_same_generator_gives_the_same_step() -> None:
    for solver in (LanczosSolver(tolerance=0.0), DescentSolver(perturbation=0.1)):
        one, two = (
            solver(diagonal(), generator=torch.Generator().manual_seed(9)) for _ in range(2)
        )
        torch.testing.assert_close(one.step, two.step, rtol=0, atol=0)
