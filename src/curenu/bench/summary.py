"""From cells to rows: means over trained networks, with their spread over networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from curenu.cost import GRADIENT
from curenu.report import NOTHING, ORACLE, Figure, Model

__all__ = ["Line", "lines_of", "over_networks", "weighted_ratio"]

_ROUNDING = 1e-14
"""Of the largest value: what is left of a difference of equal numbers differs by platform."""

Values = dict[str, dict[int, list[float]]]
"""By figure and network: what each seed found."""


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
    """One line an erasure and method, in the order of the cells.

    All rows of an erasure are over the same trained networks in each figure: one on which any
    method failed is left out of all. A method without a single result leaves nothing out.
    """
    lines = []
    for erasure in dict.fromkeys(cell["erasure"] for cell in results["cells"]):
        own = [cell for cell in results["cells"] if cell["erasure"] == erasure]
        good = {
            method: [c for c in own if c["method"] == method and "failed" not in c]
            for method in dict.fromkeys(cell["method"] for cell in own)
        }
        measured = {method: _measured(cells) for method, cells in good.items()}
        shared = _shared(measured)
        for method, values in measured.items():
            all_ = [cell for cell in own if cell["method"] == method]
            found = _figures(values, good[method], None if method == ORACLE else shared)
            for entry in results["ensembles"]:
                if (entry["erasure"], entry["method"]) == (erasure, method):
                    found |= {f["name"]: _audited(f) for f in entry["findings"]}
            failed = tuple(cell["failed"] for cell in all_ if "failed" in cell)
            lines.append(Line(erasure, method, found, failed, all_[0]["arguments"]))
    return lines


def over_networks(values: Mapping[int, Iterable[float]]) -> Figure:
    """The mean over networks and its 95 % interval (Student) over networks.

    `values` are those of the seeds of each network, which are averaged first: seeds on one
    network are no further networks. Of one network there is no interval.
    """
    means = [float(np.mean(list(seeds))) for seeds in values.values()]
    noise = _ROUNDING * max(map(abs, means))
    mean = _without(float(np.mean(means)), noise)
    if len(means) < 2:
        return Figure(mean, None, len(means))
    spread = _without(float(np.std(means, ddof=1)), noise)
    half = spread / math.sqrt(len(means)) * _quantile(len(means) - 1)
    return Figure(mean, (mean - half, mean + half), len(means))


def _without(value: float, noise: float) -> float:
    """`value`, or nothing where it is what rounding leaves of figures that cancel."""
    return 0.0 if abs(value) <= noise else value


@cache
def _quantile(freedom: int) -> float:
    """Student's 97.5 % quantile: looked up once, for tables ask for it thousands of times."""
    return float(stats.t.ppf(0.975, freedom))


def weighted_ratio(cell: Mapping[str, Any]) -> float | None:
    """Weighted examples of a cell's erasure over those of one retraining.

    Cells that counted them before they named the ratio have it from their counts; None where
    they were not counted.
    """
    if cell["method"] in (NOTHING, ORACLE):
        return float(cell["method"] == ORACLE)
    if cell.get("weighted ratio") is not None:
        return float(cell["weighted ratio"])
    cost = cell.get("cost", {})
    if not (cost.get("weighted") and cost["examples"] and "examples ratio" in cell):
        return None
    return cost["weighted"] / (GRADIENT * cost["examples"] / cell["examples ratio"])


def _network(cell: Mapping[str, Any]) -> int:
    """The network that a cell is about: every oracle is one of its own."""
    return cell["seed"] if cell["method"] == ORACLE else cell["trained"]


def _measured(cells: Iterable[dict[str, Any]]) -> Values:
    found: Values = {}
    for cell in cells:
        values = {finding["name"]: finding["value"] for finding in cell["findings"]}
        values |= {
            key: cell[key] for key in ("ratio", "examples ratio", "update_norm") if key in cell
        }
        values |= {key: cell["cost"][key] for key in ("hvps", "seconds") if "cost" in cell}
        if cell["method"] in (NOTHING, ORACLE):
            values["examples ratio"] = float(cell["method"] == ORACLE)
        weighted = weighted_ratio(cell)
        if weighted is not None:
            values["weighted ratio"] = weighted
        for name, value in values.items():
            found.setdefault(name, {}).setdefault(_network(cell), []).append(float(value))
    return found


def _shared(measured: Mapping[str, Values]) -> dict[str, set[int]]:
    """By figure, the networks that every row with that figure has."""
    shared: dict[str, set[int]] = {}
    for method, values in measured.items():
        for name, networks in values.items() if method != ORACLE else ():
            shared[name] = shared.get(name, set(networks)) & set(networks)
    return shared


def _figures(
    values: Values, cells: list[dict[str, Any]], shared: Mapping[str, set[int]] | None
) -> dict[str, Figure]:
    alone = cells[0]["findings"] if len(cells) == 1 else []
    audits = {f["name"]: _audited(f) for f in alone}  # their own intervals, over examples
    found = {}
    for name, networks in values.items():
        kept = {n: seeds for n, seeds in networks.items() if shared is None or n in shared[name]}
        if kept:
            found[name] = audits.get(name) or over_networks(kept)
    return found


def _audited(finding: dict[str, Any]) -> Figure:
    interval = finding["interval"]
    return Figure(float(finding["value"]), tuple(interval) if interval else None, 1)
