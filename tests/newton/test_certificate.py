"""What a certificate states against all eigenvalues, and that it never states too little."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.erasure import Certificate, ErasureProblem
from curenu.methods import CuReNU
from curenu.operators import extreme_eigenvalues
from curenu.risks import EmpiricalRisk
from tests.problems import generator, inputs, mlp

PENALTY = 0.1


class Diagonal:
    def __init__(self, entries: Tensor) -> None:
        self.entries = entries

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self.entries * vector


def certificate(entries: Tensor, products: int, source: torch.Generator) -> Certificate:
    ends = extreme_eigenvalues(Diagonal(entries), entries, products, source, keep=products)
    return Certificate(
        gradient_norm=1e-6,
        lambda_min=ends.smallest.value,
        lambda_min_residual=ends.smallest.residual,
        penalty=PENALTY,
        examples=9,
        population=9,
        recurrence=ends.recurrence,
    )


def true_epsilon(entries: Tensor) -> float:
    return max(1e-6, max(0.0, -float(entries.min())) ** 2 / PENALTY)


def test_a_ritz_value_alone_would_have_stated_too_little() -> None:
    """Ten products on a line of eigenvalues: eps is .0148, the Ritz value alone says .0109."""
    entries = torch.linspace(-0.0385, 0.3, 60, dtype=torch.float64)
    found = certificate(entries, 10, torch.Generator().manual_seed(1))
    assert true_epsilon(entries) == pytest.approx(0.0148, abs=5e-5)
    assert found.least_epsilon == pytest.approx(0.0109, abs=5e-5)
    assert found.least_epsilon < true_epsilon(entries) <= found.epsilon <= found.proved()


def test_the_residual_proves_nothing_of_the_smallest_and_the_bound_does() -> None:
    """One product sees one negative eigenvalue among 4,000 of 1 as a little noise."""
    entries = torch.cat([torch.tensor([-2.0]), torch.ones(4000)]).double()
    for seed in range(20):
        found = certificate(entries, 1, torch.Generator().manual_seed(seed))
        assert found.lambda_min - found.lambda_min_residual > 0.5
        assert found.epsilon == 1e-6
        assert found.proved(1e-3) >= true_epsilon(entries)


@pytest.mark.parametrize("failure", [0.05, 0.3])
def test_what_is_proved_is_too_little_no_more_often_than_stated(failure: float) -> None:
    source = torch.Generator().manual_seed(5)
    drawn = torch.Generator().manual_seed(6)
    failed = []
    for trial in range(400):
        size = (5, 40, 200)[trial % 3]
        entries = torch.randn(size, generator=drawn, dtype=torch.float64) ** (1 + 2 * (trial % 2))
        found = certificate(entries, 1 + trial % 7, source)
        failed.append(found.proved(failure) < true_epsilon(entries) * (1.0 - 1e-9))
    error = math.sqrt(failure * (1.0 - failure) / len(failed))
    assert np.mean(failed) <= failure + 4.0 * error


def test_without_the_recurrence_nothing_is_proved() -> None:
    bare = Certificate(0.1, -0.5, 0.1, 2.0, 9, 9)
    assert bare.lower_bound() == -math.inf
    assert bare.proved() == math.inf
    assert bare.epsilon == pytest.approx(0.6**2 / 2.0)
    assert bare.least_epsilon == pytest.approx(0.5**2 / 2.0)


def test_the_certificate_of_a_method_holds_for_the_whole_hessian() -> None:
    x = inputs(60, 4)
    risk = EmpiricalRisk(mlp().model, TensorDataset(x, x[:, :3].argmax(1)), "cross_entropy")
    retain, forget = risk.split([0, 3, 8])
    method = CuReNU(objective="retain", max_steps=1, certificate_products=6)
    result = method(ErasureProblem(risk.start, retain, forget), generator=generator())
    found = result.certificate
    assert found is not None
    assert found.recurrence is not None
    assert found.recurrence.dimension == risk.dimension
    assert found.exact
    values = torch.linalg.eigvalsh(retain.linearise(result.theta).dense())
    assert found.lower_bound() <= float(values[0]) <= found.lambda_min + 1e-6
    nearest = float((values - found.lambda_min).abs().min())
    assert nearest <= found.lambda_min_residual + 1e-5
    true = max(found.gradient_norm, max(0.0, -float(values[0])) ** 2 / found.penalty)
    assert found.least_epsilon <= true * (1 + 1e-5)
    assert true <= found.proved()
