"""Laws of the cubic step that hold for every model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from curenu.cubic import CubicModel, EigenSolver, LanczosSolver
from tests.oracles import cubic_change, solve_cubic

SOLVER = EigenSolver()
seeds = some.integers(0, 2**32 - 1)
sizes = some.integers(1, 8)
penalties = some.floats(1e-3, 1e3)
scales = some.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6])
fast = settings(max_examples=60, deadline=None, derandomize=True)


def problem(seed: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random (g, H); a third of the seeds make H singular."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(size, max(1, size - seed % 3)))
    H = factor @ np.diag(rng.normal(size=factor.shape[1])) @ factor.T
    return torch.from_numpy(rng.normal(size=size)), torch.from_numpy((H + H.T) / 2)


@fast
@given(seeds, sizes, penalties, some.floats(1.0, 1e3))
def test_the_damping_grows_and_the_step_shrinks_with_the_penalty(
    seed: int, size: int, penalty: float, factor: float
) -> None:
    g, H = problem(seed, size)
    one = SOLVER(CubicModel(g, H, penalty))
    two = SOLVER(CubicModel(g, H, factor * penalty))
    assert two.damping >= one.damping * (1 - 1e-9)
    assert float(two.step.norm()) <= float(one.step.norm()) * (1 + 1e-9)


@fast
@given(seeds, sizes, penalties, scales)
def test_scaling_the_loss_and_the_penalty_leaves_the_step(
    seed: int, size: int, penalty: float, scale: float
) -> None:
    g, H = problem(seed, size)
    one = SOLVER(CubicModel(g, H, penalty))
    two = SOLVER(CubicModel(scale * g, scale * H, scale * penalty))
    torch.testing.assert_close(two.step, one.step, rtol=1e-6, atol=1e-8)
    assert two.damping == pytest.approx(scale * one.damping, rel=1e-8)


@fast
@given(seeds, sizes, penalties)
def test_rotating_the_coordinates_rotates_the_step(seed: int, size: int, penalty: float) -> None:
    g, H = problem(seed, size)
    U = torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed + 1).normal(size=H.shape))).Q
    turned = U @ H @ U.mT
    one = SOLVER(CubicModel(g, H, penalty))
    two = SOLVER(CubicModel(U @ g, (turned + turned.mT) / 2, penalty))
    torch.testing.assert_close(two.step, U @ one.step, rtol=1e-5, atol=1e-7)


@fast
@given(seeds, sizes, penalties)
def test_no_step_computed_apart_is_better(seed: int, size: int, penalty: float) -> None:
    g, H = problem(seed, size)
    apart = cubic_change(g.numpy(), H.numpy(), penalty, solve_cubic(g.numpy(), H.numpy(), penalty))
    assert SOLVER(CubicModel(g, H, penalty)).change <= apart + 1e-9 * abs(apart)


@fast
@given(seeds, sizes, penalties, some.sampled_from([1e-6, 1.0, 1e6]), some.booleans())
def test_lanczos_to_its_end_is_the_exact_step_whatever_the_gradient_hides(
    seed: int, size: int, penalty: float, scale: float, hides: bool
) -> None:
    g, H = problem(seed, size)
    values, vectors = torch.linalg.eigh(H)
    if hides:  # no part along the lowest eigenvectors, be it a third of them
        hidden = vectors[:, : max(1, size // 3)]
        g = g - hidden @ (hidden.mT @ g)
    exact = SOLVER(CubicModel(scale * g, scale * H, scale * penalty))
    solver = LanczosSolver(max_products=size, tolerance=0.0)
    found = solver(CubicModel(scale * g, scale * H, scale * penalty))
    length = float(exact.step.norm())
    terms = scale * (float(g.norm()) + float(values.abs().max()) * length) * length
    assert found.change == pytest.approx(exact.change, rel=1e-6, abs=1e-13 * terms)
    assert found.damping == pytest.approx(exact.damping, rel=1e-6)


@fast
@given(seeds, some.integers(2, 40), penalties)
def test_the_default_lanczos_step_is_within_its_tolerance_of_the_exact_one(
    seed: int, size: int, penalty: float
) -> None:
    g, H = problem(seed, size)
    lowest = torch.linalg.eigh(H).eigenvectors[:, 0]
    g = g - lowest * (lowest @ g)
    solver = LanczosSolver()
    best = SOLVER(CubicModel(g, H, penalty)).change
    assert solver(CubicModel(g, H, penalty)).change <= (1.0 - solver.tolerance) * best
