"""On a trained network: two solvers, one answer; and the exact solver's faithful company."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from curenu.cubic import EigenSolver, LanczosSolver
from curenu.erasure import ErasureProblem
from curenu.methods import CuReNU
from curenu.risks import EmpiricalRisk
from curenu.tasks import class_positions, load_task
from tests.problems import generator


@pytest.fixture(scope="module")
def problem() -> ErasureProblem:
    """90 % of two digits, to be erased from a network trained on 700 of them, in float64."""
    task = load_task("digits")
    kept = list(range(700))
    model = task.train_model(0, ids=kept).double()
    x, y = task.train.tensors  # type: ignore[attr-defined]
    data = TensorDataset(x[:700].double(), y[:700])
    risk = EmpiricalRisk(model, data, task.loss, weight_decay=task.recipe.weight_decay)
    retain, forget = risk.split(class_positions(task, [3, 8], 0.9, generator(), among=kept))
    return ErasureProblem(risk.start, retain, forget)


@pytest.mark.parametrize("penalty", ["auto", 10.0])
@pytest.mark.parametrize(("aim", "preconditioner"), [("retain", "none"), ("anchored", "kfac")])
@pytest.mark.slow
def test_exact_and_krylov_solvers_give_the_same_parameters(
    problem, aim, preconditioner, penalty
) -> None:
    exact, krylov = (
        CuReNU(
            objective=aim,
            preconditioner=preconditioner,
            solver=solver,
            penalty=penalty,
            max_steps=2,
            certificate_products=0,
        )(problem, generator=generator())
        for solver in (EigenSolver(), LanczosSolver(max_products=400, tolerance=1e-7))
    )
    gap = torch.linalg.vector_norm(exact.theta - krylov.theta)
    assert gap <= 1e-5 * torch.linalg.vector_norm(exact.theta)
    moved = torch.linalg.vector_norm(exact.theta - problem.start)
    assert gap <= 1e-4 * moved
    assert krylov.cost.hvps < problem.retain.dimension / 4
