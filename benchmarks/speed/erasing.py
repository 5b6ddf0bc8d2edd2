"""A default erasure against the retraining that it saves, on the tasks of the benchmark.

Requests are those of `curenu bench anchored-TASK` (`recommender-users` for movielens). Each is
erased by `StoCuReNU()` from one trained network, once more with products in bfloat16, then a
network is trained on what is left, round after round on one thread, so that all see the same
machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any
from unittest import mock

import torch
from race import ratios
from torch import nn

from curenu.autodiff.linearisation import Linearisation
from curenu.bench import load_config
from curenu.bench.config import Config, ErasureConfig
from curenu.bench.request import Request, draw
from curenu.erasure import Erasure, ErasureProblem
from curenu.errors import MissingData
from curenu.facade import erase
from curenu.methods import StoCuReNU
from curenu.newton import target
from curenu.parameters import Selection
from curenu.risks import EmpiricalRisk
from curenu.risks.weighted_sum import WeightedSum
from curenu.tasks import Task, load_task

__all__ = ["measure"]

_CONFIGURATIONS = {  # and rounds: the longest training is the steadiest
    "anchored-fashion-mnist": 1,
    "anchored-digits": 5,
    "anchored-adult": 3,
    "anchored-newsgroups": 3,
    "recommender-users": 3,
}

_PARTS = {  # of an erasure's time: no two of these run inside one another
    "products": (Linearisation, "__matmul__"),
    "gradients": (Linearisation, "_built"),
    "gradients of the forget set": (WeightedSum, "gradient"),
    "values": (WeightedSum, "value"),
    "metric": (target, "kronecker_metric"),
}


def measure(*, smoke: bool) -> list[dict[str, Any]]:
    """A row for every erasure at once of every task whose data are there."""
    rounds = {"anchored-digits": 1} if smoke else _CONFIGURATIONS
    _on("anchored-digits", 1)  # warms up
    return [row for name, count in rounds.items() for row in _on(name, count)]


def _on(name: str, rounds: int) -> list[dict[str, Any]]:
    _, config = load_config(name)
    try:
        task = load_task(config.task.name, **config.task.options)
    except MissingData as missing:
        return [{"task": config.task.name, "left_out": str(missing)}]
    at_once = [erasure for erasure in config.erasures if erasure.rounds == 1]
    return [_row(config, task, erasure, rounds) for erasure in at_once]


def _row(config: Config, task: Task, erasure: ErasureConfig, rounds: int) -> dict[str, Any]:
    request = draw(task, erasure)
    model = request.task.train_model(config.trained[0])
    usual = partial(_erased, request, model, config.task.only)
    seconds: dict[str, list[float]] = {"erasing": [], "lower": [], "retraining": []}
    for number in range(rounds):
        with _parted() as parts:
            found, spent = usual(number)
        seconds["erasing"].append(spent)
        seconds["lower"].append(usual(number, torch.bfloat16)[1])
        start = time.perf_counter()
        request.task.train_model(config.oracles[0] + number, ids=request.retained(1))
        seconds["retraining"].append(time.perf_counter() - start)
    over = ratios(seconds, "retraining")
    return {
        "task": task.name,
        "erasure": erasure.name,
        "parameters": len(found.theta),
        "retained": len(request.retained(1)),
        "erasing_seconds": statistics.median(seconds["erasing"]),
        "retraining_seconds": statistics.median(seconds["retraining"]),
        "ratio": over["erasing"],
        "ratio_in_bfloat16": over["lower"],
        "examples_ratio": _examples_ratio(found, request),
        "parts": {name: part / seconds["erasing"][-1] for name, part in parts.items()},
        "products": found.cost.hvps,
        "status": found.status.name,
    }


def _erased(
    request: Request,
    model: nn.Module,
    only: Selection | None,
    seed: int,
    product_dtype: torch.dtype | None = None,
) -> tuple[Erasure, float]:
    """The default erasure and its seconds."""
    task = request.task
    risk = EmpiricalRisk(
        model,
        task.train,
        task.loss,
        weight_decay=task.recipe.weight_decay,
        only=only,
        product_dtype=product_dtype,
    )
    parts = risk.subset(request.retained(1)), risk.subset(request.forgotten(1))
    start = time.perf_counter()
    problem = ErasureProblem(risk.start, *parts, training=task.training_time)
    found = erase(problem, StoCuReNU(), seed=seed)
    return found, time.perf_counter() - start


def _examples_ratio(found: Erasure, request: Request) -> float:
    """Examples passed, over those of one retraining."""
    return found.cost.examples / (request.task.recipe.epochs * len(request.retained(1)))


@contextmanager
def _parted() -> Iterator[dict[str, float]]:
    """Seconds spent in each of the parts while inside."""
    seconds = dict.fromkeys(_PARTS, 0.0)

    def timed(part: str, work: Any) -> Any:
        @wraps(work)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return run

    with ExitStack() as patches:
        for part, (home, name) in _PARTS.items():
            patches.enter_context(mock.patch.object(home, name, timed(part, getattr(home, name))))
        yield seconds
