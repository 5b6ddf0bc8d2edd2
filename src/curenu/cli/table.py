"""The comparison on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curenu.bench.summary import lines_of
from curenu.bench.tables import cells_of, shown
from curenu.cli.console import stdout
from curenu.report import Row, cells, columns_for

__all__ = ["print_comparison", "print_lines"]

_MARGIN = 3  # what a column's border and padding take


def print_comparison(rows: Sequence[Row], title: str) -> None:
    """The rows under the report's headings, below each other where the terminal is narrow."""
    console = stdout()
    _print(console, [column.heading for column in columns_for(rows)], cells(rows), title)
    reasons = [f"{row.name} {row.status}" for row in rows if row.status.startswith("failed")]
    if reasons:
        console.print(escape("\n".join(reasons)))


def print_lines(results: dict[str, Any]) -> None:
    """A benchmark's table of every erasure, with the reason of every failure."""
    console = stdout()
    lines = lines_of(results)
    for erasure in dict.fromkeys(line.erasure for line in lines):
        rows = [line for line in lines if line.erasure == erasure]
        columns = shown(rows)
        texts = [[line.method, *cells_of(line, columns)] for line in rows]
        _print(console, ["method", *(column.heading for column in columns)], texts, erasure)
        for line in rows:
            for reason in line.failed:
                console.print(escape(f"{line.method} failed: {reason}"))


def _print(console: Console, headings: list[str], lines: list[list[str]], title: str) -> None:
    for columns in _fitting([headings, *lines], console.width):
        table = Table(title=title)
        for place in columns:
            side = "right" if place else "left"
            table.add_column(headings[place], justify=side, no_wrap=True)
        for line in lines:
            table.add_row(*(line[place] for place in columns))
        console.print(table)
        title = ""


def _fitting(lines: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Columns as groups that fit `width`, each led by the column of names."""
    names, *others = [max(map(len, texts)) + _MARGIN for texts in zip(*lines, strict=True)]
    groups, free = [[0]], width - names - 1
    for place, needed in enumerate(others, start=1):
        if needed > free and len(groups[-1]) > 1:
            groups.append([0])
            free = width - names - 1
        groups[-1].append(place)
        free -= needed
    return groups
