"""WINU: the Woodbury identity against its step, and retraining where the model is linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.methods import WINU
from tests.methods.dense import loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, Problem, generator, inputs

DECAY, GONE = 0.05, [0, 3, 4, 8]


def ridge() -> tuple[Problem, Tensor, Tensor]:
    """A linear model at its minimum on all data; inputs with a one for the bias, targets."""
    x, y = inputs(20, 4), inputs(20, 1, seed=3)
    model = nn.Linear(4, 1).double()
    wide = torch.cat((x, torch.ones(20, 1, dtype=torch.float64)), 1)
    found = minimum(wide, y)
    with torch.no_grad():
        model.weight.copy_(found[None, :4])
        model.bias.copy_(found[4:])
    return Problem(model, TensorDataset(x, y), "mse", DECAY), wide, y


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """Of the mean of (xᵀw − y)² and (decay/2)|w|²."""
    matrix = 2.0 * x.mT @ x / len(x) + DECAY * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(matrix, 2.0 * x.mT @ y[:, 0] / len(x))


def test_on_a_ridge_regression_it_is_retraining() -> None:
    given, x, y = ridge()
    problem = problem_of(given, GONE, weight_decay=DECAY)
    kept = torch.tensor([i for i in range(20) if i not in GONE])
    for products in (None, 5):
        erasure = WINU(damping=0.0, max_products=products)(problem, generator=generator())
        torch.testing.assert_close(erasure.theta, minimum(x[kept], y[kept]), rtol=1e-9, atol=1e-12)


def test_the_step_is_what_the_woodbury_identity_makes_of_the_curvature_of_all_data() -> None:
    problem, given, damping = problem_of("mlp"), PROBLEMS["mlp"](), 0.05
    x, _ = given.dataset.tensors  # type: ignore[attr-defined]
    n, gone = len(x), problem.forget.ids
    factors = [square_root(given, problem.start, x[i]) for i in range(n)]
    whole = sum(one @ one.mT for one in factors) / n
    eye = torch.eye(len(problem.start), dtype=torch.float64)
    inverse = torch.linalg.inv(n * whole + len(problem.retain.ids) * (1e-2 + damping) * eye)
    taken = torch.cat([factors[i] for i in gone.tolist()], 1)
    core = torch.eye(taken.shape[1], dtype=torch.float64) - taken.mT @ inverse @ taken
    without = inverse + inverse @ taken @ torch.linalg.solve(core, taken.mT @ inverse)
    pull = len(gone) * torch.func.grad(loss_of(given, gone, 1e-2))(problem.start)
    for products in (None, 51):
        method = WINU(damping=damping, max_products=products)
        step = method(problem, generator=generator()).theta - problem.start
        torch.testing.assert_close(step, without @ pull, rtol=1e-6, atol=1e-9)


def square_root(given: Problem, theta: Tensor, x: Tensor) -> Tensor:
    """A factor `[d, k]` of an example's Gauss-Newton matrix under cross-entropy."""
    shapes = {name: p.shape for name, p in given.model.named_parameters()}

    def logits(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        named = {n: p.view(s) for p, (n, s) in zip(parts, shapes.items(), strict=True)}
        return torch.func.functional_call(given.model, named, (x[None],))[0]

    slope = torch.func.jacrev(logits)(theta)
    p = logits(theta).softmax(0)
    values, vectors = torch.linalg.eigh(torch.diag(p) - p[:, None] * p[None, :])
    return slope.mT @ (vectors * values.clamp(min=0.0).sqrt())
