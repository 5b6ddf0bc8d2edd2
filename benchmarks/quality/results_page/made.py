"""All files that are made from a folder of results, by their place in `docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from results_page.front import PICTURE, front, headlined
from results_page.headline import entries, picture
from results_page.source import Source, sources
from results_page.swept import around, rows_of, sequences
from results_page.task import cells_page, figures_csv, full_csv, full_html

__all__ = ["files"]

PAGES = {"cells": cells_page, "sweep": around, "sequences": sequences}
"""What makes the page of a file, by what it holds; of other kinds other programs make it."""


def files(folder: Path) -> dict[str, str]:
    """Text by place in `docs`; what is of no known kind is named and left out."""
    found = []
    for source in sources(folder):
        if source.kind is None:
            print(f"{source.path.name} is of no program known here: left out", file=sys.stderr)
        else:
            found.append(source)
    made = {"results.md": front(found)}
    rows = entries(headlined(found))
    if rows:
        made[PICTURE] = picture(rows)
    for source in found:
        made |= _pages(source)
    return made


def _pages(source: Source) -> dict[str, str]:
    if source.kind not in PAGES:
        return {}
    start = f"results/{source.name}"
    made = {f"{start}.md": PAGES[source.kind](source)}
    if source.kind == "cells":
        return made | {f"{start}.csv": full_csv(source), f"{start}.html": full_html(source)}
    return made | {f"{start}.csv": figures_csv(source, rows_of(source))}
