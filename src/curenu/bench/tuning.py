"""Choosing a rival's arguments on another request of the same kind, never the reported one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curenu.audits import Finding
from curenu.bench.config import MethodConfig
from curenu.bench.workshop import Training, Workshop
from curenu.compare import erase_parts
from curenu.cost import clock
from curenu.errors import CurenuError
from curenu.networks import split_of

__all__ = ["Trial", "at_edge", "beyond", "choice", "run_trial", "score"]

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One grid point of a method on an erasure's validation request."""

    erasure: str
    method: str
    arguments: tuple[tuple[str, Any], ...]


def run_trial(shop: Workshop, trial: Trial) -> dict[str, Any]:
    """Its score, lower is better, and its cost; no score where the method fails."""
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
    return {
        "score": score(references.findings(found, before)),
        "seconds": seconds,
        "examples": made.cost.examples,
        "weighted": made.cost.weighted,
    }


def score(findings: Iterable[Finding]) -> float:
    """mean(Rf, Rr) + mean |1 − G| over accuracy and loss: closeness and memory alike.

    1 is retraining, about 2 doing nothing. All of it is measured on training examples: the test
    set is the reported one, and nothing is chosen by it.
    """
    values = {finding.name: finding.value for finding in findings}
    ratios = [values[name] for name in ("Rf", "Rr") if name in values]
    gaps = [abs(1.0 - values[name]) for name in ("G accuracy", "G loss") if name in values]
    return float(np.mean(ratios or [0.0]) + np.mean(gaps or [0.0]))


def choice(
    trials: Sequence[Trial], found: Sequence[Mapping[str, Any]], sought: Iterable[str]
) -> dict[str, Any]:
    """The best of the trials, all that were tried, and what of `sought` stayed at an edge.

    `found` is what each trial gave; where all failed the first stands for them.
    """
    scored = [
        (made["score"], place)
        for place, made in enumerate(found)
        if made.get("score") is not None
    ]  # fmt: skip
    best = dict(trials[min(scored)[1] if scored else 0].arguments)
    tried = [dict(trial.arguments) for trial in trials]
    edges = at_edge([{name: point[name] for name in sought} for point in tried], best)
    return {
        "erasure": trials[0].erasure,
        "method": trials[0].method,
        "arguments": best,
        "trials": [
            {"arguments": point, **made} for point, made in zip(tried, found, strict=True)
        ],
        "at the edge": sorted(edges) if scored else [],
    }  # fmt: skip


def at_edge(tried: Sequence[Point], best: Point) -> dict[str, int]:
    """The arguments whose chosen value is the least (-1) or the largest (1) that was tried.

    Only numbers have an edge, and only where two or more were tried.
    """
    found = {}
    for name in dict.fromkeys(name for point in tried for name in point):
        values = _values(tried, name)
        if len(values) > 1 and best[name] in (values[0], values[-1]):
            found[name] = -1 if best[name] == values[0] else 1
    return found


def beyond(method: MethodConfig, tried: Sequence[Point], best: Point) -> list[dict[str, Any]]:
    """The points one step of the grid beyond `best`, in each direction in which it is at an edge.

    The step is the grid's own there: its factor, or its difference where a value is not above 0.
    What the method refuses, or what was tried already, is left out.
    """
    grids = [{name: point[name] for name in method.grid} for point in tried]
    found = []
    for name, side in at_edge(grids, best).items():
        values = _values(grids, name)
        edge, inner = (values[0], values[1]) if side < 0 else (values[-1], values[-2])
        point = dict(best) | {name: _next(edge, inner)}
        if point not in [dict(other) for other in tried] and _taken(method, point):
            found.append(point)
    return found


def _values(tried: Iterable[Point], name: str) -> list[Any]:
    """The numbers of an argument that were tried, ascending; none where one is no number."""
    values = {point[name] for point in tried if name in point}
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted(numbers) if len(numbers) == len(values) else []


def _next(edge: Any, inner: Any) -> Any:
    """As far beyond `edge` as that is beyond `inner`: by their ratio if both are above 0."""
    further = edge * edge / inner if min(edge, inner) > 0 else 2 * edge - inner
    if isinstance(edge, int) and isinstance(inner, int):
        return round(further)
    return float(f"{further:.6g}")


def _taken(method: MethodConfig, point: dict[str, Any]) -> bool:
    try:
        method.make(point)
    except CurenuError:
        return False
    return True
