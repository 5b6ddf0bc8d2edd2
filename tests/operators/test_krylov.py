"""Ends, density and degeneracy of known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from curenu.errors import BadRequest
from curenu.operators import (
    KrylovSpace,
    Spectrum,
    extreme_eigenvalues,
    lanczos,
    numerical_rank,
    spectral_density,
)


def matrix(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    noise = torch.randn(size, size, generator=generator, dtype=torch.float64)
    U = torch.linalg.qr(noise).Q
    return (U * eigenvalues) @ U.mT


def bulk(size: int = 400) -> Tensor:
    """A trained network's look: a bulk at zero, a few negatives, a few large."""
    values = torch.zeros(size, dtype=torch.float64)
    values[:20] = torch.linspace(-0.5, -0.1, 20, dtype=torch.float64)
    values[-4:] = torch.tensor([5.0, 8.0, 12.0, 20.0], dtype=torch.float64)
    return values


def test_the_recurrence_reproduces_the_operator_on_an_orthonormal_basis() -> None:
    H = matrix(torch.linspace(-2, 3, 15, dtype=torch.float64))
    basis = torch.empty(16, 15, dtype=torch.float64)
    steps = list(lanczos(H, torch.ones(15, dtype=torch.float64), basis))
    Q, T = basis[:15], np.diag([s.diagonal for s in steps])
    off = [s.off_diagonal for s in steps[:-1]]
    T = torch.from_numpy(T + np.diag(off, 1) + np.diag(off, -1))
    torch.testing.assert_close(Q @ Q.mT, torch.eye(15, dtype=torch.float64))
    torch.testing.assert_close(Q @ H @ Q.mT, T)
    assert steps[-1].off_diagonal == 0.0


def test_an_invariant_subspace_ends_the_recurrence() -> None:
    H = torch.diag(torch.tensor([1.0, 1.0, 4.0, 4.0], dtype=torch.float64))
    for keep in (0, 4):
        start = torch.ones(4, dtype=torch.float64)
        space = KrylovSpace(H, start.clone, limit=4, keep=keep)
        assert sum(1 for _ in space.grow()) == 2
        assert space.remainder == 0.0
        assert space.ritz()[0] == pytest.approx([1.0, 4.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_eigenvalues_are_within_their_residual(dtype: torch.dtype) -> None:
    H = matrix(bulk()).to(dtype)
    rounding = 20 * 50 * torch.finfo(dtype).eps
    for count in (3, 10, 40):
        ends = extreme_eigenvalues(H, H[0], count)
        assert ends.products == count
        for end in (ends.smallest, ends.largest):
            assert float((bulk() - end.value).abs().min()) <= end.residual + rounding
    assert ends.smallest.value == pytest.approx(-0.5, abs=1e-2)
    assert ends.largest.value == pytest.approx(20.0, rel=1e-5)
    assert ends.norm >= 20.0 - rounding


def test_extreme_eigenvalues_stop_at_their_tolerance() -> None:
    H = matrix(torch.linspace(1, 3, 60, dtype=torch.float64))
    ends = extreme_eigenvalues(H, H[0], 60, tolerance=1e-2)
    assert ends.products < 60
    assert max(ends.smallest.residual, ends.largest.residual) <= 1e-2 * ends.largest.value


def test_a_budget_below_one_product_is_refused() -> None:
    H = torch.eye(3, dtype=torch.float64)
    with pytest.raises(BadRequest):
        extreme_eigenvalues(H, H[0], 0)
    with pytest.raises(BadRequest):
        spectral_density(H, H[0], probes=0)


def test_the_density_integrates_to_one_and_to_the_moments() -> None:
    values = bulk()
    H = matrix(values)
    found = spectral_density(H, H[0], 40, 30, torch.Generator().manual_seed(1))
    step = found.grid[1] - found.grid[0]
    assert found.density.sum() * step == pytest.approx(1.0, abs=1e-6)
    assert found.weights.sum() == pytest.approx(1.0)
    # Hutchinson's variance for the trace of a probe on the sphere is 2|H|_F²/d² at most.
    error = 4 * math.sqrt(2 * float(values.square().sum()) / 40) / len(values)
    assert found.weights @ found.nodes == pytest.approx(float(values.mean()), abs=error)
    assert found.products == len(found.nodes) <= 40 * 30


def test_rank_counts_what_exceeds_the_relative_tolerance() -> None:
    values = np.array([-1e-3, 0.0, 1e-9, 1.0, 10.0])
    assert numerical_rank(values) == 4
    assert numerical_rank(values, 1e-6) == 3
    assert numerical_rank(1e-200 * values, 1e-6) == 3
    assert numerical_rank(np.zeros(3)) == 0


def test_the_summary_of_all_eigenvalues_is_exact() -> None:
    found = Spectrum.of_eigenvalues(bulk())
    assert found == Spectrum(
        dimension=400,
        rank=24,
        nonpositive_share=pytest.approx(396 / 400),  # type: ignore[arg-type]
        lambda_min=-0.5,
        lambda_max=20.0,
        condition=pytest.approx(200.0),  # type: ignore[arg-type]
        source="eigenvalues",
    )


def test_the_summary_of_a_density_is_close_and_says_what_it_is() -> None:
    H = matrix(bulk())
    density = spectral_density(H, H[0], 40, 40, torch.Generator().manual_seed(1))
    found = Spectrum.of_density(density)
    assert found.source == "Lanczos quadrature"
    # The share of a subspace of 24 in 400 a probe sees: 4 standard errors over 40 probes.
    error = 4 * math.sqrt(2 * 24 / 40)
    assert found.rank == pytest.approx(24, abs=error)
    assert found.nonpositive_share == pytest.approx(0.99, abs=error / 400)
    assert found.lambda_max == pytest.approx(20.0, rel=1e-6)
    assert found.lambda_min == pytest.approx(-0.5, rel=1e-2)


def test_the_zero_matrix_has_no_rank_and_no_condition() -> None:
    found = Spectrum.of_eigenvalues(np.zeros(4))
    assert (found.rank, found.nonpositive_share, found.condition) == (0, 1.0, math.inf)
