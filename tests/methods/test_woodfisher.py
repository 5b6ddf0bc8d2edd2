"""WoodFisher: the whole chain of rank-one steps, and what the published recursion does instead."""

from __future__ import annotations

import torch
from torch import Tensor

from curenu.methods import WoodFisher
from tests.methods.dense import loss_of, single_gradients
from tests.methods.test_fisher_of_rows import recursion
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator


def one_vector(rows: Tensor, vector: Tensor) -> Tensor:
    """The published recursion: one vector o is kept, and what it is corrected by is o itself."""
    corrected, kept, size = vector.clone(), rows[0].clone(), len(rows)
    for row in rows[1:]:
        along = kept @ row
        corrected -= (corrected @ row) / (size + along) * kept
        kept -= along / (size + along) * kept
    return corrected


def test_the_chain_is_the_dense_inverse_and_not_the_published_one_vector() -> None:
    problem, given = problem_of("mlp", weight_decay=0.5), PROBLEMS["mlp"]()
    rows = single_gradients(given, problem.retain.ids, problem.start)
    gradient = torch.func.grad(loss_of(given, problem.forget.ids))(problem.start)
    share = problem.forget.size / problem.retain.size
    eye = torch.eye(len(gradient), dtype=torch.float64)
    dense = torch.linalg.solve(rows.mT @ rows / len(rows) + eye, gradient)
    torch.testing.assert_close(recursion(rows, 1.0) @ gradient, dense)
    step = WoodFisher()(problem, generator=generator()).theta - problem.start
    torch.testing.assert_close(step, share * dense, rtol=1e-9, atol=1e-12)
    published = one_vector(rows, gradient)
    only = torch.stack([published - gradient, rows[0]])
    assert torch.linalg.matrix_rank(only) == 1  # it corrects along the first gradient alone
    missed = (published - dense).norm() / (gradient - dense).norm()
    assert missed > 0.5


def test_erasing_twice_as_many_of_the_same_is_twice_the_step() -> None:
    """The step has the scale of removal: a sum over what goes, not a mean."""
    problem = problem_of("mlp", [1])
    both = problem_of("mlp", [1, 4])
    given = PROBLEMS["mlp"]()
    method = WoodFisher(damping=1e6)  # F is the damping, but for a millionth
    for asked, ids in ((problem, [1]), (both, [1, 4])):
        step = method(asked, generator=generator()).theta - asked.start
        total = single_gradients(given, torch.tensor(ids), asked.start).sum(0)
        expected = total / asked.retain.size / 1e6
        torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-12)
