"""How much of the cubic model's decrease each solver finds with so many products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, DescentSolver, EigenSolver, LanczosSolver
from curenu.curvature import length
from curenu.errors import MissingData
from curenu.objective import EmpiricalRisk, Linearisation
from curenu.tasks import Task, class_ids, digits, fashion_mnist

__all__ = ["measure"]

_PRODUCTS = (1, 2, 3, 5, 10, 20, 40)
_LENGTHS = (0.1, 1.0, 10.0)  # of the Newton-like step, as a share of a tenth of |theta|


def measure(*, smoke: bool) -> list[dict[str, Any]]:
    """On trained networks: the retained examples' objective after half of two classes left."""
    tasks = [digits()]
    if not smoke:
        try:
            tasks.append(fashion_mnist(examples=8192))
        except MissingData as missing:
            return [*_on(tasks[0], 20), {"task": "fashion-mnist", "left_out": str(missing)}]
    return [row for task in tasks for row in _on(task, 5 if smoke else None)]


def _on(task: Task, epochs: int | None) -> list[dict[str, Any]]:
    recipe = task.recipe.lasting(epochs)
    model = Task.train_model(task, 0) if epochs is None else _short(task, recipe)
    data = task.train
    assert isinstance(data, TensorDataset)
    risk = EmpiricalRisk(model, data, task.loss, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(0)
    retain, _ = risk.split(class_ids(task, [0, 1], 0.5, generator))
    curvature = retain.linearise(retain.start)
    gradient = curvature.gradient
    return [_at(task.name, curvature, gradient, share, retain.start) for share in _LENGTHS]


def _short(task: Task, recipe: Any) -> torch.nn.Module:
    from curenu.tasks.recipe import train

    model = task.build()
    train(model, task.train, task.loss, recipe, generator=torch.Generator().manual_seed(0))
    return model


def _at(
    name: str, curvature: Linearisation, gradient: Tensor, share: float, theta: Tensor
) -> dict[str, Any]:
    # The penalty at which the gradient alone would allow a step of this length.
    penalty = 2.0 * length(gradient) / (0.1 * share * length(theta)) ** 2
    model = CubicModel(gradient, curvature, penalty)
    dense = len(theta) <= 4096
    optimum = EigenSolver() if dense else LanczosSolver(max_products=200, tolerance=0.0)
    best = optimum(model).change
    return {
        "task": name,
        "parameters": len(theta),
        "penalty": penalty,
        "optimum": "eigendecomposition" if dense else "200 Lanczos products",
        "lanczos": [
            {"products": k, "share": LanczosSolver(k, 0.0)(model).change / best} for k in _PRODUCTS
        ],
        "descent": [_descent(model, k, best) for k in _PRODUCTS if k >= 5],
    }


def _descent(model: CubicModel, products: int, best: float) -> dict[str, float]:
    """With its own step size, whose measurement is counted too."""
    step = DescentSolver(iterations=products - 5)(model)
    assert step.cost.hvps <= products
    return {"products": products, "share": step.change / best}
