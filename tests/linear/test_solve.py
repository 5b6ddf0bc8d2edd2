"""The Newton baselines solve what they say and explode when they must."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from curenu.errors import BadRequest, IllPosed
from curenu.linear import damped_solve, pseudo_inverse_solve
from curenu.status import Status
from tests.cubic.kinds import KINDS, SIZE

KRYLOV = [None, SIZE]


class Products:
    """A matrix seen through products only."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.count = matrix, 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.count += 1
        return self.matrix @ vector


@pytest.mark.parametrize("products", KRYLOV)
@pytest.mark.parametrize("kind", ["positive definite", "indefinite", "low rank"])
def test_the_damped_step_solves_the_damped_system(kind: str, products: int | None) -> None:
    g, H = KINDS[kind]()
    step = damped_solve(H, g, 0.37, max_products=products)
    exact = -torch.linalg.solve(H + 0.37 * torch.eye(SIZE, dtype=H.dtype), g)
    torch.testing.assert_close(step.step, exact, rtol=1e-6, atol=1e-8)
    assert step.residual <= 1e-6 * float(g.norm())


@pytest.mark.parametrize("products", KRYLOV)
@pytest.mark.parametrize("kind", ["indefinite", "gradient in the range of a low rank"])
def test_the_pseudo_inverse_step_has_minimum_norm(kind: str, products: int | None) -> None:
    g, H = KINDS[kind]()
    step = pseudo_inverse_solve(H, g, max_products=products)
    exact = -torch.linalg.pinv(H, hermitian=True, rtol=1e-6) @ g
    torch.testing.assert_close(step.step, exact, rtol=1e-6, atol=1e-8)


def test_the_pseudo_inverse_step_is_not_clipped() -> None:
    H = torch.diag(torch.tensor([1e-5, 1.0], dtype=torch.float64))
    step = pseudo_inverse_solve(H, torch.ones(2, dtype=torch.float64), relative_cutoff=1e-6)
    assert float(step.step.norm()) == pytest.approx(1e5, rel=1e-6)


@pytest.mark.parametrize("products", [None, 2])
def test_a_damping_on_an_eigenvalue_is_ill_posed(products: int | None) -> None:
    H = torch.diag(torch.tensor([-2.0, 1.0], dtype=torch.float64))
    with pytest.raises(IllPosed, match="singular"):
        damped_solve(H, torch.ones(2, dtype=torch.float64), 2.0, max_products=products)


@pytest.mark.parametrize("damping", [-1.0, float("nan"), float("inf")])
def test_a_damping_that_cannot_be_meant_is_refused(damping: float) -> None:
    with pytest.raises(BadRequest):
        damped_solve(torch.eye(2), torch.ones(2), damping)


@pytest.mark.parametrize("cutoff", [-1.0, 1.0, float("nan")])
def test_a_cutoff_that_cannot_be_meant_is_refused(cutoff: float) -> None:
    with pytest.raises(BadRequest):
        pseudo_inverse_solve(torch.eye(2), torch.ones(2), relative_cutoff=cutoff)


def test_products_are_counted_and_a_short_budget_is_said() -> None:
    g, H = KINDS["indefinite"]()
    operator = Products(H)
    step = damped_solve(operator, g, 4.0, max_products=5)
    assert step.products == operator.count
    assert step.status is Status.PRODUCT_LIMIT
    assert step.residual > 1e-6 * float(g.norm())


def test_a_zero_gradient_moves_nothing() -> None:
    step = damped_solve(torch.zeros(3, 3), torch.zeros(3), 1.0)
    assert float(step.step.norm()) == 0.0
    assert step.residual == 0.0
