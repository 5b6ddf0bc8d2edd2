"""How much of the cubic model's decrease each solver finds with so many products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from scipy.optimize import brentq
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, DescentSolver, EigenSolver, Factorised, LanczosSolver
from curenu.errors import MissingData
from curenu.operators import Coordinates, kronecker_metric, length
from curenu.risks import EmpiricalRisk
from curenu.tasks import Task, class_positions, digits, fashion_mnist
from curenu.tasks.recipe import train

__all__ = ["measure"]

_PRODUCTS = (1, 2, 3, 5, 10, 20, 40)
_START = 5  # products that descent spends before its iterations
_LENGTHS = (0.1, 1.0, 10.0)  # of the Newton-like step, as a share of a tenth of |theta|
_METRIC = 1024  # examples that the metric is measured on, as the methods do


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
    """Rows of the parameters' own lengths, then of K-FAC's: steps as long as the first ones."""
    retain = _retained(task, epochs)
    radii = [0.1 * share * length(retain.start) for share in _LENGTHS]
    model = _model(retain, Coordinates(retain.start))
    best = _best(model)
    penalties = [2.0 * length(model.gradient) / radius**2 for radius in radii]
    rows = _rows(task.name, "none", model, best, penalties)

    generator = torch.Generator().manual_seed(0)
    metric = kronecker_metric(retain.sample(_METRIC, generator), retain.start, generator)
    inside = _model(retain, Coordinates(retain.start, metric))
    least = _best(inside)

    def moved(penalty: float) -> float:
        return length(metric.root(least.solve(penalty).step))

    same = [_penalty_of(moved, length(best.solve(penalty).step)) for penalty in penalties]
    return rows + _rows(task.name, "K-FAC", inside, least, same)


def _retained(task: Task, epochs: int | None) -> EmpiricalRisk:
    network, recipe, data = task.initialise(0), task.recipe.lasting(epochs), task.train
    assert isinstance(data, TensorDataset)
    train(network, data, task.loss, recipe, generator=torch.Generator().manual_seed(1))
    risk = EmpiricalRisk(network, data, task.loss, weight_decay=recipe.weight_decay)
    return risk.split(class_positions(task, [0, 1], 0.5, torch.Generator().manual_seed(0)))[0]


def _model(retain: EmpiricalRisk, coordinates: Coordinates) -> CubicModel:
    curvature = coordinates.view(retain).linearise(coordinates.start)
    return CubicModel(curvature.gradient, curvature, 1.0)


def _is_small(model: CubicModel) -> bool:
    return len(model.gradient) <= 4096


def _best(model: CubicModel) -> Factorised:
    if _is_small(model):
        return EigenSolver().factorise(model)
    return LanczosSolver(200, 0.0, hidden_products=0).factorise(model)


def _penalty_of(moved: Callable[[float], float], wanted: float) -> float:
    """The penalty whose step is `wanted` long."""

    def excess(exponent: float) -> float:
        return math.log(moved(10.0**exponent) / wanted)

    found: Any = brentq(excess, -12.0, 12.0, xtol=1e-6)
    return 10.0 ** float(found)


def _rows(
    task: str, metric: str, model: CubicModel, best: Factorised, penalties: list[float]
) -> list[dict[str, Any]]:
    """One a penalty; Lanczos reduces the model once for all of them."""
    spaces = {k: LanczosSolver(k, 0.0, hidden_products=0).factorise(model) for k in _PRODUCTS}
    rows = []
    for penalty in penalties:
        least = best.solve(penalty).change
        at = replace(model, penalty=penalty)
        rows.append(
            {
                "task": task,
                "metric": metric,
                "parameters": len(model.gradient),
                "penalty": penalty,
                "optimum": "eigendecomposition" if _is_small(model) else "200 Lanczos products",
                "lanczos": [
                    {"products": k, "share": space.solve(penalty).change / least}
                    for k, space in spaces.items()
                ],
                "descent": [_descent(at, k, least) for k in _PRODUCTS if k >= _START],
            }
        )
    return rows


def _descent(model: CubicModel, products: int, best: float) -> dict[str, float]:
    """With its own step size, whose measurement is counted too."""
    step = DescentSolver(iterations=products - _START)(model)
    assert step.cost.hvps <= products
    return {"products": products, "share": step.change / best}
