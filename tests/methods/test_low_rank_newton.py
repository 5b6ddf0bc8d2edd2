"""LowRankNewton on a network: the dense step, and its refusal where there is no room for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curenu.errors import UnsupportedModel
from curenu.methods import LowRankNewton
from tests.linear.test_low_rank import oracle
from tests.methods.dense import hessian_of, loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator


@pytest.mark.parametrize("products", [None, 51])
def test_the_step_is_that_of_the_dense_hessian_of_the_retain_objective(
    products: int | None,
) -> None:
    problem = problem_of("mlp")
    loss = loss_of(PROBLEMS["mlp"](), problem.retain.ids, 1e-2)
    gradient, hessian = torch.func.grad(loss)(problem.start), hessian_of(loss, problem.start)
    step, kept = oracle(gradient.numpy(), hessian.numpy(), 0.05, 0.8)
    method = LowRankNewton(share=0.8, damping=0.05, max_products=products)
    erasure = method(problem, generator=generator())
    moved = (erasure.theta - problem.start).numpy()
    np.testing.assert_allclose(moved, step, rtol=1e-6, atol=1e-9)
    assert erasure.notes[-1].startswith(f"{kept.shape[1]} eigenpairs make 0.")


def test_a_dense_matrix_that_does_not_fit_is_refused_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curenu.autodiff.linearisation.available_memory", lambda device: 1000)
    with pytest.raises(UnsupportedModel, match="dense Hessian of 51 parameters .* GiB"):
        LowRankNewton(max_products=None)(problem_of("mlp"), generator=generator())
