"""Choosing a rival's arguments on another request of the same kind, never the reported one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curenu.audits import Finding, closeness
from curenu.bench.workshop import Training, Workshop
from curenu.cost import clock
from curenu.erasure import ErasureProblem
from curenu.errors import CurenuError
from curenu.evaluation import split_of
from curenu.facade import erase, with_parameters

__all__ = ["Trial", "run_trial", "score"]


@dataclass(frozen=True)
class Trial:
    """One grid point of a method on an erasure's validation request."""

    erasure: str
    method: str
    arguments: tuple[tuple[str, Any], ...]


def run_trial(shop: Workshop, trial: Trial) -> dict[str, Any]:
    """Its score, lower is better, and its seconds; infinite where the method fails."""
    request = shop.request(trial.erasure, True)
    trained = shop.config.trained[0]
    first = shop.network(Training(trial.erasure, 0, trained, True)).model
    scene = shop.scene(trial.erasure, 1, True)
    before = shop.before(trial.erasure, trained, 1, True)
    risk = shop.risk(request, first)
    method = shop.method(trial.method).make(dict(trial.arguments))
    problem = ErasureProblem(
        risk.start, *risk.split(list(scene.forget)), training=request.task.training_time
    )
    start = clock()
    try:
        theta = erase(problem, method, seed=0).theta
        seconds = clock() - start
        model = with_parameters(first, risk.parameters, theta)
        found = split_of(request.task, scene.forget, scene.retain, model)  # refuses NaN
    except CurenuError as error:
        return {"score": None, "seconds": clock() - start, "failed": str(error)}
    figures = closeness(found, list(scene.oracles), scene.floors, before)
    return {"score": score(figures), "seconds": seconds}


def score(findings: list[Finding]) -> float:
    """mean(Rf, Rr, Rt) + mean |1 − G| over accuracy and loss: closeness and memory alike.

    1 is retraining, about 2 doing nothing.
    """
    values = {finding.name: finding.value for finding in findings}
    ratios = [values[name] for name in ("Rf", "Rr", "Rt") if name in values]
    gaps = [abs(1.0 - values[name]) for name in ("G accuracy", "G loss") if name in values]
    return float(np.mean(ratios or [0.0]) + np.mean(gaps or [0.0]))
