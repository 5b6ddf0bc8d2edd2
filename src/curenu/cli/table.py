"""The comparison on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curenu.bench.summary import Line, lines_of
from curenu.bench.tables import cells_of, shown
from curenu.cli.console import say, say_table, stdout
from curenu.report import Row, cells, columns_for, columns_of, number

__all__ = ["print_brief", "print_comparison", "print_lines"]

_BRIEF = columns_of("Rf", "G loss", "RMIA AUC", "TA", "ratio")
_MARGIN = 3  # what a column's border and padding take


def print_comparison(rows: Sequence[Row], title: str) -> None:
    """The rows under the report's headings, below each other where the terminal is narrow."""
    _say([column.heading for column in columns_for(rows)], cells(rows), title)
    reasons = [f"{row.name} {row.status}" for row in rows if row.status.startswith("failed")]
    if reasons:
        say("\n".join(reasons))


def print_lines(results: dict[str, Any]) -> None:
    """A benchmark's table of every erasure, with the reason of every failure."""
    lines = lines_of(results)
    for erasure in dict.fromkeys(line.erasure for line in lines):
        rows = [line for line in lines if line.erasure == erasure]
        columns = shown(rows)
        texts = [[line.method, *cells_of(line, columns)] for line in rows]
        _say(["method", *(column.heading for column in columns)], texts, erasure)
        _say_failures(rows)


def print_brief(results: dict[str, Any]) -> None:
    """A table an erasure of six columns at most, which fits 80 characters, and what they mean."""
    lines = lines_of(results)
    columns = shown(lines, _BRIEF)
    for erasure in results["requests"]:
        rows = [line for line in lines if line.erasure == erasure]
        figures = [[line.figures.get(column.figure) for column in columns] for line in rows]
        texts = [
            [line.method, *("–" if f is None else number(f.mean, 2) for f in own)]
            for line, own in zip(rows, figures, strict=True)
        ]
        say_table(["method", *(c.heading for c in columns)], texts, title=erasure, numbers=True)
        _say_failures(rows)
    for column in columns:
        say(f"{column.heading}: {column.meaning}")


def _say_failures(rows: Sequence[Line]) -> None:
    for line in rows:
        for reason in line.failed:
            say(f"{line.method} failed: {reason}")


def _say(headings: list[str], lines: list[list[str]], title: str) -> None:
    for columns in _fitting([headings, *lines], stdout().width):
        chosen = [[line[place] for place in columns] for line in lines]
        say_table([headings[place] for place in columns], chosen, title=title, numbers=True)
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
