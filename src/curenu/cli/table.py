"""The comparison on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from curenu.report import COLUMNS, Row, cells

__all__ = ["comparison_table"]


def comparison_table(rows: Sequence[Row], title: str) -> Table:
    """The rows under the report's headings, numbers to the right; reasons of failures below."""
    table = Table(title=title, caption=_failures(rows), caption_justify="left")
    for place, column in enumerate(COLUMNS):
        table.add_column(column.heading, justify="right" if place else "left", no_wrap=True)
    for line in cells(rows):
        table.add_row(*line)
    return table


def _failures(rows: Sequence[Row]) -> str | None:
    reasons = [f"{row.name} {row.status}" for row in rows if row.status.startswith("failed")]
    return escape("\n".join(reasons)) or None
