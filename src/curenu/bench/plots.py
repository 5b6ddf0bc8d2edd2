"""Plots of the comparison, each an SVG text or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from curenu.bench.summary import Line
from curenu.report import NOTHING, ORACLE
from curenu.report.plots import STRONG, figure, named

__all__ = [
    "cost_plot",
    "degeneracy_plot",
    "drift_plot",
    "relearning_plot",
    "roc_plot",
    "trade_off_plot",
]

_SIZE = (7.2, 3.6)
_MARKS = "osD^v<>pPX*hd8" * 8
_COLOURS = mpl.color_sequences["tab20"]  # with the marks, 140 that differ


def trade_off_plot(lines: Sequence[Line]) -> str | None:
    """Rf against Rr, logarithmic: the corner at (1, 1) is retraining."""
    return _scatter(lines, "Rr", "Rf", "Rr, retain set", "Rf, forget set", reference=True)


def cost_plot(lines: Sequence[Line]) -> str | None:
    """Divergence on the forget set against time over one retraining, both logarithmic."""
    return _scatter(lines, "ratio", "JSD f", "time ÷ one retraining", "JSD on the forget set")


def roc_plot(cells: Sequence[dict[str, Any]]) -> str | None:
    """The membership attack's ROC of each method's first network, on logarithmic axes."""
    curves = {c["method"]: c["roc"] for c in reversed(cells) if c.get("roc")}
    if not curves:
        return None
    with figure(*_SIZE) as (axes, finish):
        for place, (method, (false, true)) in enumerate(reversed(curves.items())):
            line = (np.maximum(false, 1e-4), np.maximum(true, 1e-4))
            axes.plot(*line, label=named(method), **_look(method, place))
        axes.plot([1e-4, 1], [1e-4, 1], color="0.6", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(1e-3, 1)
        axes.set_ylim(1e-3, 1.1)
        axes.set_xlabel("false positive rate (test examples taken for members)")
        axes.set_ylabel("true positive rate")
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return finish()


def relearning_plot(cells: Sequence[dict[str, Any]], taught: int) -> str | None:
    """Forget accuracy while training on; `taught` 0 is on retained, 1 on few forgotten."""
    curves = {
        c["method"]: list(c["relearning"].items())[taught] for c in cells if c.get("relearning")
    }
    if not curves:
        return None
    with figure(*_SIZE) as (axes, finish):
        (name, _), *_ = curves.values()
        for place, (method, (_, points)) in enumerate(curves.items()):
            line = zip(*points, strict=True)
            axes.plot(*line, label=named(method), marker=_MARKS[place], markersize=3,
                      **_look(method, place))  # fmt: skip
        axes.set_xlabel(f"steps of training on {named(name)}")
        axes.set_ylabel("forget accuracy")
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return finish()


def drift_plot(cells: Sequence[dict[str, Any]], name: str = "Rf") -> str | None:
    """A figure after every round, the erasure of the union at once as a mark at the end."""
    runs = {c["method"]: c for c in cells if c.get("rounds")}
    if not runs:
        return None
    with figure(*_SIZE) as (axes, finish):
        for place, (method, cell) in enumerate(runs.items()):
            mark, look = _MARKS[place], _look(method, place)
            points = [(r["round"], _value(r["findings"], name)) for r in cell["rounds"]]
            line = zip(*points, strict=True)
            axes.plot(*line, label=named(method), marker=mark, markersize=3, **look)
            axes.scatter(
                [points[-1][0] + 0.3], [_value(cell["at once"]["findings"], name)],
                edgecolors=look["color"], marker=mark, facecolors="none",
            )  # fmt: skip
        axes.set_xlabel("round (open mark: all of it at once)")
        axes.set_ylabel(name)
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return finish()


def degeneracy_plot(found: dict[str, Any] | None) -> str | None:
    """Rank and the share of eigenvalues that are not positive, along training."""
    if not found or "moments" not in found:
        return None
    moments = found["moments"]
    times = [moment["share of training"] for moment in moments]
    with figure(7.2, 2.6) as (axes, finish):
        shares = [moment["share not positive"] for moment in moments]
        ranks = [moment["rank"] / found["parameters"] for moment in moments]
        axes.plot(times, shares, marker="o", label="zero or negative")
        axes.plot(times, ranks, marker="s", label="rank ÷ parameters")
        axes.set_ylim(0, 1)
        axes.set_xlabel("share of training")
        axes.set_ylabel("share of eigenvalues")
        axes.legend(frameon=False)
        return finish()


def _look(method: str, place: int) -> dict[str, Any]:
    """Colour and line: the page's ink for the oracle, dashed grey for doing nothing."""
    if method == ORACLE:
        return {"color": STRONG, "linewidth": 2.2}
    if method == NOTHING:
        return {"color": "0.5", "linewidth": 2.2, "linestyle": "--"}
    return {"color": _COLOURS[place % len(_COLOURS)], "linewidth": 1.1}


def _scatter(
    lines: Sequence[Line], x: str, y: str, across: str, up: str, *, reference: bool = False
) -> str | None:
    points = {
        line.method: (line.figures[x].mean, line.figures[y].mean)
        for line in lines
        if x in line.figures and y in line.figures
    }
    points = {m: p for m, p in points.items() if np.isfinite(p).all() and min(p) > 0}
    if not points:
        return None
    with figure(*_SIZE) as (axes, finish):
        places = {line.method: place for place, line in enumerate(lines)}
        for method, point in points.items():
            place = places[method]  # the same mark in every plot, whoever is left out
            color = _look(method, place)["color"]
            axes.scatter(*point, marker=_MARKS[place], s=32, label=named(method), color=color)
        if reference:
            axes.axhline(1.0, color="0.6", linestyle=":", linewidth=1)
            axes.axvline(1.0, color="0.6", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return finish()


def _value(findings: list[dict[str, Any]], name: str) -> float:
    return next((float(f["value"]) for f in findings if f["name"] == name), float("nan"))
