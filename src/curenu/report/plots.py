"""Plots of the report, each an SVG text made from numbers alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from curenu.report.row import Row

__all__ = ["STRONG", "damping_plot", "figure", "named"]

_INK = "#5f6b7a"
STRONG = "#1d2733"
"""The colour of the line that is compared with."""
_ON_THE_PAGE = {_INK: "var(--soft)", STRONG: "var(--ink)"}  # dark where the page is dark
_UNSAID: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # no reader sees it
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


def named(text: str) -> str:
    """A name that users gave, as a label of a plot: read as it stands, never as a formula.

    A dollar begins no formula, an underscore hides nothing, and characters that no page can
    hold are written as escapes.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return ("\u200b" if shown.startswith("_") else "") + shown.replace("$", r"\$")


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
        self._figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(_UNSAID)
        )
        text = buffer.getvalue()
        for colour, variable in _ON_THE_PAGE.items():
            text = text.replace(colour, variable)
        return text[text.index("<svg") :]
