"""From cells to rows: means over trained networks and seeds, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from curenu.report import Figure, Model

__all__ = ["Line", "lines_of"]


@dataclass(frozen=True)
class Line:
    """A method on an erasure: its figures by name, and how many of its cells failed and why."""

    erasure: str
    method: str
    figures: dict[str, Figure]
    failed: tuple[str, ...]
    arguments: dict[str, Any]

    def model(self) -> Model:
        """The line as a report compares it."""
        names = {"hvps": "products"}
        figures = {names.get(name, name): figure for name, figure in self.figures.items()}
        return Model(self.method, figures, self.failed)


def lines_of(results: dict[str, Any]) -> list[Line]:
    """One line an erasure and method, in the order of the cells."""
    keys = dict.fromkeys((cell["erasure"], cell["method"]) for cell in results["cells"])
    lines = []
    for erasure, method in keys:
        own = [c for c in results["cells"] if (c["erasure"], c["method"]) == (erasure, method)]
        good = [cell for cell in own if "failed" not in cell]
        ensembles = [
            e for e in results["ensembles"] if (e["erasure"], e["method"]) == (erasure, method)
        ]
        found = _figures(good)
        for entry in ensembles:
            found |= {f["name"]: _audited(f) for f in entry["findings"]}
        lines.append(
            Line(
                erasure,
                method,
                found,
                tuple(cell["failed"] for cell in own if "failed" in cell),
                own[0]["arguments"],
            )
        )
    return lines


def figure_of(values: Sequence[float]) -> Figure:
    """The mean of `values` and its interval over them."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Figure(mean, None, len(values))
    error = float(stats.sem(values))
    half = error * float(stats.t.ppf(0.975, len(values) - 1))
    return Figure(mean, (mean - half, mean + half), len(values))


def _figures(cells: list[dict[str, Any]]) -> dict[str, Figure]:
    named: dict[str, list[Any]] = {}
    for cell in cells:
        for finding in cell["findings"]:
            named.setdefault(finding["name"], []).append(finding)
    found = {
        name: _audited(group[0])
        if len(group) == 1
        else figure_of([float(finding["value"]) for finding in group])
        for name, group in named.items()
    }
    for key in ("ratio", "examples ratio", "update_norm"):
        values = [cell[key] for cell in cells if key in cell]
        if values:
            found[key] = figure_of([float(value) for value in values])
    for key in ("hvps", "seconds"):
        values = [cell["cost"][key] for cell in cells if "cost" in cell]
        if values:
            found[key] = figure_of([float(value) for value in values])
    return found


def _audited(finding: dict[str, Any]) -> Figure:
    interval = finding["interval"]
    return Figure(float(finding["value"]), tuple(interval) if interval else None, 1)
