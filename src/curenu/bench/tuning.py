"""Choosing a rival's arguments on another request of the same kind, never the reported one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curenu.audits import Finding
from curenu.bench.workshop import Training, Workshop
from curenu.compare import erase_parts
from curenu.cost import clock
from curenu.errors import CurenuError
from curenu.networks import split_of

__all__ = ["Trial", "run_trial", "score"]


@dataclass(frozen=True)
class Trial:
    """One grid point of a method on an erasure's validation request."""

    erasure: str
    method: str
    arguments: tuple[tuple[str, Any], ...]


def run_trial(shop: Workshop, trial: Trial) -> dict[str, Any]:
    """Its score, lower is better, and its seconds; infinite where the method fails."""
    request, trained = shop.request(trial.erasure, True), shop.config.trained[0]
    first = shop.network(Training(trial.erasure, 0, trained, True)).model
    references = shop.references(trial.erasure, 1, True)
    before = shop.before(trial.erasure, trained, 1, True)
    method = shop.method(trial.method).make(dict(trial.arguments))
    start = clock()
    try:
        made = erase_parts(
            shop.risk(request, first),
            first,
            [references.forget],
            method,
            [0],
            training=request.task.training_time,
        )
        seconds = clock() - start
        found = split_of(request.task, references.forget, references.retain, made.model)
    except CurenuError as error:  # also of outputs that are NaN
        return {"score": None, "seconds": clock() - start, "failed": str(error)}
    return {"score": score(references.findings(found, before)), "seconds": seconds}


def score(findings: list[Finding]) -> float:
    """mean(Rf, Rr, Rt) + mean |1 − G| over accuracy and loss: closeness and memory alike.

    1 is retraining, about 2 doing nothing.
    """
    values = {finding.name: finding.value for finding in findings}
    ratios = [values[name] for name in ("Rf", "Rr", "Rt") if name in values]
    gaps = [abs(1.0 - values[name]) for name in ("G accuracy", "G loss") if name in values]
    return float(np.mean(ratios or [0.0]) + np.mean(gaps or [0.0]))
