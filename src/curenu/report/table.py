"""The comparison as headings and cells, for the terminal, HTML and Markdown alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from curenu.report.column import Column, columns_of
from curenu.report.figure import number
from curenu.report.row import Row

__all__ = ["COLUMNS", "cells", "columns_for", "markdown", "markdown_table"]

COLUMNS: tuple[Column, ...] = columns_of(
    "name", "Rf", "Rr", "Rt", "G accuracy", "G loss", "G margin", "FA", "RA", "TA", "ToW",
    "RMIA AUC", "RMIA TPR", "JSD f", "JSD r", "JSD t", "update_norm", "distance", "damping",
    "products", "seconds", "ratio",
)  # fmt: skip
"""Of classifiers."""

PREDICTIONS: tuple[Column, ...] = columns_of(
    "name", "Df", "Dr", "Dt", "G loss", "loss f", "loss r", "loss t", "loss attack AUC",
    "loss attack TPR", "update_norm", "distance", "damping", "products", "seconds", "ratio",
)  # fmt: skip
"""Of all other models."""

_OF_THE_ROW: dict[str, Callable[[Row], float | None]] = {
    "update_norm": lambda row: row.update_norm,
    "damping": lambda row: row.damping,
    "seconds": lambda row: row.seconds,
    "ratio": lambda row: row.ratio,
}
_IF_MADE = (
    "RMIA AUC", "RMIA TPR", "distance", "Df", "Dr", "Dt", "loss attack AUC", "loss attack TPR",
)  # fmt: skip
_WITH_SPREAD = ("Rf", "Rr", "Rt", "G accuracy", "G loss", "G margin", "RMIA AUC", "Df", "Dr", "Dt",
                "loss attack AUC")  # fmt: skip


def columns_for(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns of classifiers or of other models, without attacks that were not made."""
    whole = PREDICTIONS if any(row.finding("loss f") for row in rows) else COLUMNS
    return tuple(
        column
        for column in whole
        if column.figure not in _IF_MADE or any(row.finding(column.figure) for row in rows)
    )


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """One list of texts a row, in the order of `columns_for` them."""
    return [[_cell(row, column) for column in columns_for(rows)] for row in rows]


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    return markdown_table([column.heading for column in columns_for(rows)], cells(rows))


def markdown_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Texts under headings as a table in Markdown."""
    heads = list(headings)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines
    )


def _cell(row: Row, column: Column) -> str:
    """What the row has of a figure: with half of its 95 % interval where that is to be judged."""
    if column.figure == "name":
        return row.name
    if column.figure == "products":
        return "–" if row.products is None else f"{row.products:,}"
    if column.figure in _OF_THE_ROW:
        return number(_OF_THE_ROW[column.figure](row), column.digits)
    found = row.finding(column.figure)
    text = number(None if found is None else found.value, column.digits)
    if found is None or found.interval is None or column.figure not in _WITH_SPREAD:
        return text
    half = (found.interval[1] - found.interval[0]) / 2
    return f"{text} ± {number(half, column.digits)}"
