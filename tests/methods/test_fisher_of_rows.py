"""FisherRemoval and FisherForgetting against dense matrices and the recursion written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from curenu.erasure import ErasureProblem
from curenu.errors import BadRequest, UnsupportedModel
from curenu.methods import FisherForgetting, FisherRemoval
from curenu.operators import RowMatrix
from curenu.risks import gradient_rows
from tests.methods.dense import loss_of, single_gradients
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator, inputs


def recursion(rows: Tensor, damping: float) -> Tensor:
    """F_i⁻¹ = F_{i−1}⁻¹ − u uᵀ/(m + g_i·u), from F_0 = damping I, on dense matrices."""
    inverse = torch.eye(rows.shape[1], dtype=torch.float64) / damping
    for row in rows:
        u = inverse @ row
        inverse = inverse - torch.outer(u, u) / (len(rows) + row @ u)
    return inverse


def dense_power(rows: Tensor, damping: float, exponent: float) -> Tensor:
    matrix = rows.mT @ rows / len(rows) + damping * torch.eye(rows.shape[1], dtype=torch.float64)
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.mT


def rows_of(problem: ErasureProblem) -> Tensor:
    return single_gradients(PROBLEMS["mlp"](), problem.retain.ids, problem.start)


def as_matrix(matrix: RowMatrix, exponent: float) -> Tensor:
    eye = torch.eye(matrix.rows.shape[1], dtype=torch.float64)
    return torch.stack([matrix.power(exponent, row) for row in eye])


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (1, 4)], ids=str)
@pytest.mark.parametrize("damping", [1e-3, 2.0])
def test_powers_of_rows_are_the_dense_powers_and_the_recursion(
    shape: tuple[int, int], damping: float
) -> None:
    rows = inputs(*shape)
    matrix = RowMatrix.of(rows, damping)
    for exponent in (-1.0, -0.25, 0.5, 1.0):
        wanted = dense_power(rows, damping, exponent)
        torch.testing.assert_close(as_matrix(matrix, exponent), wanted, rtol=1e-9, atol=1e-9)
    chain = recursion(rows, damping)
    torch.testing.assert_close(as_matrix(matrix, -1.0), chain, rtol=1e-9, atol=1e-9)


def test_equal_rows_and_rows_of_zero_are_no_trouble() -> None:
    rows = torch.cat([inputs(1, 6).expand(4, 6), torch.zeros(2, 6, dtype=torch.float64)])
    matrix = RowMatrix.of(rows, 0.1)
    assert len(matrix.values) == 1
    torch.testing.assert_close(as_matrix(matrix, -1.0), dense_power(rows, 0.1, -1.0))
    nothing = RowMatrix.of(torch.zeros(3, 6, dtype=torch.float64), 0.1)
    torch.testing.assert_close(as_matrix(nothing, -1.0), 10.0 * torch.eye(6).double())


@pytest.mark.parametrize("size", [1, 4, 100])
def test_gradient_rows_are_those_of_single_examples_in_their_order(size: int) -> None:
    problem = problem_of("mlp", micro_batch_size=size)
    rows = gradient_rows(problem.retain, problem.start)
    torch.testing.assert_close(rows, rows_of(problem), rtol=1e-10, atol=1e-14)


def test_removal_is_the_dense_step_uphill_and_the_forget_loss_rises() -> None:
    """The gradient is negated nowhere, and decay is in neither gradient nor matrix."""
    problem = problem_of("mlp", weight_decay=0.5)
    given = PROBLEMS["mlp"]()
    forgotten = loss_of(given, problem.forget.ids)
    inverse = recursion(rows_of(problem), 0.05)
    step = inverse @ torch.func.grad(forgotten)(problem.start)
    method = FisherRemoval(step_size=0.02, damping=0.05)
    theta = method(problem, generator=generator()).theta
    torch.testing.assert_close(theta, problem.start + 0.02 * step, rtol=1e-9, atol=1e-12)
    assert forgotten(theta) > forgotten(problem.start)


def test_a_sample_of_the_retained_is_what_the_matrix_is_of() -> None:
    problem = problem_of("mlp")
    ids = problem.retain.sample(6, generator(4)).ids
    rows = single_gradients(PROBLEMS["mlp"](), ids, problem.start)
    gradient = torch.func.grad(loss_of(PROBLEMS["mlp"](), problem.forget.ids))(problem.start)
    method = FisherRemoval(step_size=1.0, damping=0.1, sample_size=6)
    erasure = method(problem, generator=generator(4))
    expected = problem.start + recursion(rows, 0.1) @ gradient
    torch.testing.assert_close(erasure.theta, expected, rtol=1e-9, atol=1e-12)
    assert erasure.notes == ("Fisher matrix of rank 6 from 6 examples",)


def test_forgetting_draws_noise_of_the_root_of_the_inverse_not_of_the_inverse() -> None:
    problem = problem_of("mlp")
    rows, stream = rows_of(problem), generator()
    method = FisherForgetting(noise=1e-4, damping=0.02)
    rounds = 150
    moves = torch.stack(
        [method(problem, generator=stream).theta - problem.start for _ in range(rounds)]
    )
    white = moves @ dense_power(rows, 0.02, 0.25) / 1e-2
    count = white.numel()
    assert abs(float(white.mean())) < 4 / count**0.5
    assert abs(float(white.var()) - 1) < 4 * (2 / count) ** 0.5
    as_scrubbing = moves @ dense_power(rows, 0.02, 0.5) / 1e-2
    assert abs(float(as_scrubbing.var()) - 1) > 0.3


@pytest.mark.slow
def test_the_covariance_of_many_draws_is_the_root_of_the_inverse() -> None:
    rows, stream, draws = inputs(3, 5), generator(), 100_000
    matrix = RowMatrix.of(rows, 0.1)
    normal = torch.randn(draws, 5, generator=stream, dtype=torch.float64)
    moves = torch.stack([matrix.power(-0.25, row) for row in normal])
    wanted = dense_power(rows, 0.1, -0.5)
    spread = (torch.outer(wanted.diag(), wanted.diag()) + wanted.square()) / draws
    assert ((moves.mT @ moves / draws - wanted).abs() < 4.5 * spread.sqrt()).all()


@pytest.mark.parametrize("method", [FisherRemoval(), FisherForgetting()])
def test_rows_that_do_not_fit_are_refused_with_their_size(
    method: FisherRemoval | FisherForgetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curenu.risks.squares.available_memory", lambda device: 14 * 51 * 8 - 1)
    problem = problem_of("mlp")
    with pytest.raises(UnsupportedModel, match="14 gradients of 51 parameters take .* GiB") as why:
        method(problem, generator=generator())
    assert "sample_size" in why.value.remedy
    assert problem.retain.meter.gradients == 0


@pytest.mark.parametrize("damping", [0.0, -1.0, float("inf")])
def test_rows_without_damping_have_no_inverse(damping: float) -> None:
    with pytest.raises(BadRequest):
        RowMatrix.of(inputs(2, 3), damping)
    for kind in (FisherRemoval, FisherForgetting):
        with pytest.raises(BadRequest):
            kind(damping=damping)
