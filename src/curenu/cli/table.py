"""The comparison on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from curenu.cli.console import stdout
from curenu.report import COLUMNS, Row, cells

__all__ = ["print_comparison"]

_MARGIN = 3  # what a column's border and padding take


def print_comparison(rows: Sequence[Row], title: str) -> None:
    """The rows under the report's headings, below each other where the terminal is narrow."""
    console = stdout()
    for columns in _fitting(rows, console.width):
        table = Table(title=title)
        for place in columns:
            left = "right" if place else "left"
            table.add_column(COLUMNS[place].heading, justify=left, no_wrap=True)
        for line in cells(rows):
            table.add_row(*(line[place] for place in columns))
        console.print(table)
        title = ""
    reasons = [f"{row.name} {row.status}" for row in rows if row.status.startswith("failed")]
    if reasons:
        console.print(escape("\n".join(reasons)))


def _fitting(rows: Sequence[Row], width: int) -> list[list[int]]:
    """Columns as groups that fit `width`, each led by the column of names."""
    lines = [[column.heading for column in COLUMNS], *cells(rows)]
    names, *others = [max(map(len, texts)) + _MARGIN for texts in zip(*lines, strict=True)]
    groups, free = [[0]], width - names - 1
    for place, needed in enumerate(others, start=1):
        if needed > free and len(groups[-1]) > 1:
            groups.append([0])
            free = width - names - 1
        groups[-1].append(place)
        free -= needed
    return groups
