"""The comparison as headings and cells, for the terminal, HTML and Markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curenu.report.row import Row

__all__ = ["COLUMNS", "Column", "cells", "markdown", "number"]


@dataclass(frozen=True)
class Column:
    """A heading, what it means in plain words, and how a row fills it."""

    heading: str
    caption: str
    cell: Callable[[Row], str]


def number(value: float | None, digits: int = 3) -> str:
    """A short form of a number; a dash for none, a word for what is not finite."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}" if abs(value) >= 100 else f"{value:.{digits}f}"


def _finding(name: str, digits: int = 3) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row.finding(name)
        return "–" if found is None else number(found.value, digits)

    return cell


def _with_spread(name: str, digits: int = 2) -> Callable[[Row], str]:
    """The value and half of its 95 % interval."""

    def cell(row: Row) -> str:
        found = row.finding(name)
        if found is None or found.interval is None:
            return "–" if found is None else number(found.value, digits)
        half = (found.interval[1] - found.interval[0]) / 2
        return f"{number(found.value, digits)} ± {number(half, digits)}"

    return cell


COLUMNS: tuple[Column, ...] = (
    Column("model", "Do nothing is the trained model, oracle one retrained.", lambda r: r.name),
    Column(
        "Rf",
        "Divergence from the oracles on the forget set over that between two oracles; 1 is as "
        "close as two retrainings are to each other.",
        _with_spread("Rf"),
    ),
    Column("Rr", "The same on the retain set.", _with_spread("Rr")),
    Column("Rt", "The same on the test set.", _with_spread("Rt")),
    Column(
        "G acc",
        "Part of the gap in forget accuracy between trained model and oracles that was closed; 1 "
        "is all, 0 nothing, below 0 worse than nothing.",
        _with_spread("G accuracy"),
    ),
    Column("G loss", "The same for the mean loss on the forget set.", _with_spread("G loss")),
    Column("G margin", "The same for the mean log odds.", _with_spread("G margin")),
    Column("FA", "Accuracy on the forget set; aim at the oracle's, not at zero.", _finding("FA")),
    Column("RA", "Accuracy on the retain set.", _finding("RA")),
    Column("TA", "Accuracy on the test set.", _finding("TA")),
    Column(
        "ToW", "Agreement of the three accuracies with the oracle's; 1 is best.", _finding("ToW")
    ),
    Column("JSD f", "Divergence from the oracles on the forget set.", _finding("JSD f", 4)),
    Column("JSD r", "Divergence on the retain set.", _finding("JSD r", 4)),
    Column("JSD t", "Divergence on the test set.", _finding("JSD t", 4)),
    Column("|update|", "How far the weights moved.", lambda r: number(r.update_norm)),
    Column(
        "damping", "The last damping used, or found by the method.", lambda r: number(r.damping)
    ),
    Column(
        "products",
        "Hessian-vector products.",
        lambda r: "–" if r.products is None else f"{r.products:,}",
    ),
    Column("seconds", "Wall-clock time.", lambda r: number(r.seconds, 2)),
    Column("÷ retrain", "Time over one retraining.", lambda r: number(r.ratio, 3)),
)


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """One list of texts a row, in the order of `COLUMNS`."""
    return [[column.cell(row) for column in COLUMNS] for row in rows]


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    lines = [[column.heading for column in COLUMNS], ["---"] * len(COLUMNS), *cells(rows)]
    return "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines
    )
