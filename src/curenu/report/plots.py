"""Plots of the report, each an SVG text made from numbers alone."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from curenu.report.row import Row
from curenu.report.table import number

__all__ = ["SpectrumView", "damping_plot", "figure", "named", "spectrum_plot", "update_plot"]

_INK, _ACCENT, _WARM = "#5f6b7a", "#2f6fb5", "#c2562d"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "curenu",
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class SpectrumView:
    """A Hessian's spectrum to be drawn: eigenvalues (or quadrature nodes) and their weights.

    `weights` sum to one; `exact` says that `values` are all eigenvalues.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    dimension: int
    rank: int
    nonpositive_share: float
    lambda_min: float
    lambda_max: float
    relative_tolerance: float
    examples: int
    exact: bool


def spectrum_plot(view: SpectrumView) -> str:
    """Share of eigenvalues over their size, on an axis linear near zero and logarithmic off."""
    largest = float(np.abs(view.values).max(initial=0.0)) or 1.0
    threshold = max(largest * 1e-5, 1e-12)
    edges = _symlog_edges(threshold, largest)
    share, _ = np.histogram(view.values, bins=edges, weights=view.weights)
    with figure(7.2, 2.6) as (axes, finish):
        axes.set_xscale("symlog", linthresh=threshold)
        colours = [_WARM if right <= threshold else _ACCENT for right in edges[1:]]
        axes.bar(edges[:-1], share, width=np.diff(edges), align="edge", color=colours, linewidth=0)
        axes.set_yscale("log")
        axes.set_ylim(0.5 / view.dimension, 1.5)
        axes.set_xlabel("eigenvalue (linear within the middle, logarithmic outside)")
        axes.set_ylabel("share of eigenvalues")
        return finish()


def damping_plot(rows: Sequence[Row]) -> str | None:
    """Damping after each outer step, one line a method that found its own; None if none did."""
    lines = {
        row.name: [(i, r.damping) for i, r in enumerate(row.trace, 1) if r.damping]
        for row in rows
        if any(record.penalty is not None for record in row.trace)
    }
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return None
    with figure(7.2, 2.6) as (axes, finish):
        for (name, points), marker in zip(lines.items(), "osD^v" * len(lines), strict=False):
            axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, label=named(name))
        axes.set_yscale("log")
        longest = max(len(points) for points in lines.values())
        axes.set_xticks(range(1, longest + 1))
        axes.set_xlabel("outer step")
        axes.set_ylabel("damping γ = (M/2)|s|")
        axes.legend(frameon=False)
        return finish()


def update_plot(rows: Sequence[Row]) -> str | None:
    """Norms of the updates, logarithmic; one that is not finite is said in words."""
    sizes = {row.name: row.update_norm for row in rows if row.update_norm is not None}
    widths = np.array([v if math.isfinite(v) and v > 0 else np.nan for v in sizes.values()])
    if np.isnan(widths).all():
        return None
    with figure(7.2, 0.5 + 0.32 * len(sizes)) as (axes, finish):
        places = np.arange(len(sizes))
        axes.barh(places, widths, color=_ACCENT, height=0.6)
        axes.set_xscale("log")
        axes.set_xlim(np.nanmin(widths) / 2, np.nanmax(widths) * 3)
        axes.set_yticks(places, [named(name) for name in sizes])
        axes.invert_yaxis()
        ends = np.where(np.isnan(widths), axes.get_xlim()[0], widths)
        for place, end, size in zip(places, ends, sizes.values(), strict=True):
            axes.annotate(f" {number(size)}", (end, place), va="center", fontsize=8)
        axes.set_xlabel("|theta − theta0|")
        return finish()


def named(text: str) -> str:
    """A name that users gave, as a label of a plot: read as it stands, never as a formula.

    A dollar begins no formula, an underscore hides nothing, and characters that no page can
    hold are written as escapes.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return ("\u200b" if shown.startswith("_") else "") + shown.replace("$", r"\$")


def _symlog_edges(threshold: float, largest: float) -> NDArray[np.float64]:
    outside = np.geomspace(threshold, largest * 1.1, 28)
    inside = np.linspace(-threshold, threshold, 5)[1:-1]
    return np.concatenate([-outside[::-1], inside, outside])


@contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Axes, Finish]]:
    """Axes of a size in inches, in the report's style, and what turns them into SVG text."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # the reader's font shows the text, not the one that is measured here
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.add_subplot(), Finish(figure)


class Finish:
    """Turns a drawn figure into SVG text that can stand inside a page."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def __call__(self) -> str:
        buffer = io.StringIO()
        self._figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        text = buffer.getvalue()
        return text[text.index("<svg") :]
