"""The minimiser in a ball: its conditions on every kind of matrix, and the cubic step at |s|."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curenu.errors import BadRequest, UnsupportedModel
from curenu.linear import region_model, solve_region
from tests.cubic.kinds import HARD, KINDS, SIZE
from tests.oracles import solve_cubic, trust_region_step

RADII = [1e-3, 1.0, 1e3]
SOLVABLE = [kind for kind in KINDS if "zero gradient" not in kind]
SPANNED = [kind for kind in SOLVABLE if kind not in HARD and "condition" not in kind]


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("kind", KINDS)
def test_the_conditions_that_make_a_step_the_global_minimiser_hold(
    kind: str, radius: float
) -> None:
    """(H + gamma I)s = −g, H + gamma I ⪰ 0, gamma ≥ 0, |s| ≤ r, and gamma > 0 only at the edge."""
    g, H = (t.numpy() for t in KINDS[kind]())
    values, U = np.linalg.eigh(H)
    gamma, y = solve_region(values, U.T @ g, radius)
    s = U @ y
    scale = np.abs(values).max() + gamma
    left = np.linalg.norm(H @ s + gamma * s + g)
    assert left <= 1e-9 * (np.linalg.norm(g) + scale * np.linalg.norm(s))
    assert gamma >= max(0.0, -values[0] - 1e-12 * scale)
    assert np.linalg.norm(s) <= radius * (1 + 1e-9)
    if gamma > 1e-9 * scale:
        assert np.linalg.norm(s) == pytest.approx(radius, rel=1e-7)


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize(
    ("kind", "products"),
    [(kind, None) for kind in SOLVABLE if kind not in HARD] + [(kind, SIZE) for kind in SPANNED],
)
def test_at_the_radius_of_the_cubic_step_it_is_the_cubic_step(
    kind: str, penalty: float, products: int | None
) -> None:
    g, H = KINDS[kind]()
    cubic = solve_cubic(g.numpy(), H.numpy(), penalty)
    size = float(np.linalg.norm(cubic))
    step = region_model(H, g, max_products=products).solve(size)
    np.testing.assert_allclose(step.step.numpy(), cubic, rtol=1e-6, atol=1e-7 * size)
    assert step.damping == pytest.approx(0.5 * penalty * size, rel=1e-5)


@pytest.mark.parametrize("kind", sorted(HARD & set(SOLVABLE)))
def test_in_the_hard_case_it_is_as_low_as_the_cubic_step(kind: str) -> None:
    g, H = KINDS[kind]()
    cubic = solve_cubic(g.numpy(), H.numpy(), 1.0)
    step = region_model(H, g).solve(float(np.linalg.norm(cubic)))
    lowest = float(g.numpy() @ cubic + 0.5 * cubic @ H.numpy() @ cubic)
    assert step.change == pytest.approx(lowest, rel=1e-6)
    s = step.step.numpy()
    assert step.change == pytest.approx(float(g.numpy() @ s + 0.5 * s @ H.numpy() @ s), rel=1e-9)


@pytest.mark.parametrize("radius", [0.1, 1.0])
@pytest.mark.parametrize("kind", ["positive definite", "indefinite", "negative definite"])
def test_another_library_finds_the_same_step(kind: str, radius: float) -> None:
    g, H = KINDS[kind]()
    wanted = trust_region_step(g.numpy(), H.numpy(), radius)
    found = region_model(H, g).solve(radius)
    change = float(g.numpy() @ wanted + 0.5 * wanted @ H.numpy() @ wanted)
    assert found.change <= change + 1e-12
    np.testing.assert_allclose(found.step.numpy(), wanted, rtol=0.05, atol=0.05 * radius)


def test_a_large_radius_gives_the_newton_step_and_no_damping() -> None:
    g, H = KINDS["positive definite"]()
    step = region_model(H, g).solve(1e6)
    torch.testing.assert_close(step.step, -torch.linalg.solve(H, g))
    assert step.damping == 0.0


@pytest.mark.parametrize("radius", [0.0, -1.0, float("inf"), float("nan")])
def test_a_radius_that_cannot_be_meant_is_refused(radius: float) -> None:
    with pytest.raises(BadRequest):
        solve_region(np.ones(2), np.ones(2), radius)


def test_a_matrix_that_does_not_fit_is_refused_with_its_size() -> None:
    g, H = KINDS["positive definite"]()
    with pytest.raises(UnsupportedModel, match="GiB"):
        region_model(H, g, memory_budget=100)
