"""How far below the smallest Ritz value an eigenvalue can be, and with which probability."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from curenu.errors import BadRequest
from curenu.operators import Recurrence, extreme_eigenvalues

SIZE = 60
STARTS = 600
FAILURES = [0.02, 0.2]


def hidden_among_many() -> Tensor:
    """One eigenvalue a little below a crowd, as a Lanczos polynomial likes it least."""
    values = torch.full((SIZE,), 1.0, dtype=torch.float64)
    values[0], values[-1] = 0.9, 50.0
    return values


def chebyshev() -> Tensor:
    """Eigenvalues crowded at both ends."""
    return -torch.cos(torch.linspace(0, math.pi, SIZE, dtype=torch.float64))


SPECTRA = {
    "a line": lambda: torch.linspace(-1, 2, SIZE, dtype=torch.float64),
    "one below a crowd": hidden_among_many,
    "crowded ends": chebyshev,
    "normal": lambda: torch.randn(
        SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ),
    "two values": lambda: torch.tensor([-1.0] + [1.0] * (SIZE - 1), dtype=torch.float64),
    "a trained network's": lambda: torch.cat(
        [torch.tensor([-0.5]), torch.linspace(-0.02, 0.02, SIZE - 3), torch.tensor([8.0, 20.0])]
    ).double(),
}


class Diagonal:
    def __init__(self, entries: Tensor) -> None:
        self.entries = entries

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self.entries * vector


def recurrence(entries: Tensor, products: int, source: torch.Generator) -> Recurrence:
    found = extreme_eigenvalues(
        Diagonal(entries), entries, products, source, keep=products
    ).recurrence
    assert found is not None
    return found


@pytest.mark.parametrize("products", [1, 3, 8])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_the_bound_fails_no_more_often_than_it_says(spectrum: str, products: int) -> None:
    entries = SPECTRA[spectrum]()
    true = float(entries.min()) + 1e-9  # beyond rounding
    source = torch.Generator().manual_seed(2)
    seen = [recurrence(entries, products, source) for _ in range(STARTS // products)]
    for failure in FAILURES:
        failed = np.mean([one.lower_bound(failure) > true for one in seen])
        error = math.sqrt(failure * (1.0 - failure) / len(seen))
        assert failed <= failure + 4.0 * error


def test_the_bound_is_near_what_it_says_where_one_product_decides() -> None:
    """For one product and two eigenvalues the failure can be had by hand: not all is slack."""
    entries = SPECTRA["two values"]()
    source = torch.Generator().manual_seed(2)
    seen = [recurrence(entries, 1, source) for _ in range(STARTS)]
    failed = np.mean([one.lower_bound(0.2) > -1.0 + 1e-9 for one in seen])
    assert failed >= 0.1


def test_the_bound_rises_with_products_and_with_the_probability_of_failure() -> None:
    entries = SPECTRA["a line"]()
    bounds = [
        recurrence(entries, k, torch.Generator().manual_seed(0)).lower_bound() for k in (1, 5, 20)
    ]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(-1.0, abs=0.1)
    one = recurrence(entries, 10, torch.Generator().manual_seed(0))
    by_failure = [one.lower_bound(failure) for failure in (1e-6, 1e-3, 0.1, 0.9)]
    assert by_failure == sorted(by_failure)


def test_the_bound_is_where_the_polynomials_say() -> None:
    """Against polynomials evaluated apart, as vectors of a dense Lanczos basis."""
    entries = SPECTRA["normal"]()
    found = recurrence(entries, 7, torch.Generator().manual_seed(0))
    bound = found.lower_bound(0.05)
    a, b = np.array(found.diagonal), np.array(found.off_diagonal)
    T = np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1)
    # p_0 … p_k at x solve (T − x)p = −beta_k p_k e_k with p_0 = 1.
    last = -np.linalg.solve(T - bound * np.eye(7), np.eye(7)[-1]) * b[-1]
    p = np.append(last, 1.0) / last[0]
    assert float(p @ p) == pytest.approx(2 * SIZE / (math.pi * 0.05**2), rel=1e-6)


def test_a_space_that_is_closed_knows_the_smallest_eigenvalue() -> None:
    entries = torch.tensor([1.0, 2.0, 2.0, 5.0], dtype=torch.float64)
    found = recurrence(entries, 10, torch.Generator().manual_seed(0))
    assert found.off_diagonal[-1] == 0.0
    assert found.lower_bound(1e-9) == pytest.approx(1.0, rel=1e-9)


def test_the_bound_has_the_operators_scale() -> None:
    entries = SPECTRA["a line"]()
    plain = recurrence(entries, 6, torch.Generator().manual_seed(0)).lower_bound()
    for scale in (2.0**-200, 2.0**100):
        scaled = recurrence(scale * entries, 6, torch.Generator().manual_seed(0)).lower_bound()
        assert scaled == pytest.approx(scale * plain, rel=1e-8)


@pytest.mark.parametrize("failure", [0.0, 1.0, -0.1, math.nan])
def test_a_probability_that_is_none_is_refused(failure: float) -> None:
    with pytest.raises(BadRequest, match="failure_probability"):
        Recurrence((1.0,), (0.5,), 9).lower_bound(failure)
