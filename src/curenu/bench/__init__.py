"""Benchmarks: methods × erasures × networks against retrained oracles, from one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curenu.atomic import replace_file
from curenu.bench.config import Config, load_config, shipped
from curenu.bench.demo import demo_config
from curenu.bench.page import page
from curenu.bench.runner import RESULTS, run
from curenu.bench.summary import Line, lines_of
from curenu.bench.tables import BRIEF, csv_table, markdown
from curenu.bench.verdict import verdict

__all__ = [
    "BRIEF",
    "RESULTS",
    "Config",
    "Line",
    "csv_table",
    "demo_config",
    "lines_of",
    "load_config",
    "markdown",
    "page",
    "report",
    "run",
    "shipped",
    "verdict",
]


def report(results: dict[str, Any], folder: Path, featured: str | None = None) -> None:
    """Write the page with plots and the tables beside the results they are made from.

    `featured` is the method whose verdict leads; without it all are grouped by theirs.
    """
    replace_file(folder / "report.html", page(results, featured).encode())
    replace_file(folder / "tables.md", markdown(results).encode())
    replace_file(folder / "figures.csv", csv_table(results).encode())
