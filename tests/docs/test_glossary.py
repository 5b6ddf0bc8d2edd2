"""Figures of the tables are in the glossary, and the table of costs is that of the runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean

import pytest

from tests.docs.pages import DOCS

FIGURES = re.compile(r"^(G|R|Rf|Rr|Rt|ToW|FA|RA|TA|RMIA|U-LiRA|JSD|÷ retrain|G \w+)$")
RESULTS = DOCS.parent / "benchmarks/quality/results"
COLUMNS = ("half of", "random 10 %", "random 1 %", "whole class", "5 % mislabelled")


def named() -> set[str]:
    lines = re.findall(r"^In tables: (.+)\.$", (DOCS / "glossary.md").read_text(), re.M)
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line)}


def headings(text: str) -> set[str]:
    rows = re.findall(r"^\|(.+)\|\n\|(?: *:?-+:? *\|)+$", text, re.M)
    return {cell.strip() for row in rows for cell in row.split("|")}


PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("results/*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_figure_that_heads_a_column_is_explained(path: Path) -> None:
    assert {word for word in headings(path.read_text()) if FIGURES.match(word)} <= named()


def said(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


@pytest.mark.parametrize("task", ["digits", "newsgroups", "adult", "fashion-mnist"])
def test_the_table_of_costs_is_that_of_the_runs(task: str) -> None:
    results = json.loads((RESULTS / f"anchored-{task}.json").read_text())
    found = [cell for cell in results["cells"] if cell["method"] == "stocurenu"]
    row = re.search(rf"^\| {task} \|(.*)\|$", (DOCS / "when_it_pays.md").read_text(), re.M)
    assert row is not None
    cells = [cell.strip() for cell in row[1].split("|")]
    count = next(iter(results["requests"].values()))["of"]
    assert cells[0] == f"{count:,}"
    assert float(cells[2].removesuffix(" s")) == pytest.approx(
        fmean(cell["retraining seconds"] for cell in found), rel=0.05
    )
    for column, cell in zip(COLUMNS, cells[3:], strict=True):
        own = [entry for entry in found if entry["erasure"].startswith(column)]
        means = [fmean(e[key] for e in own) for key in ("ratio", "examples ratio")] if own else []
        assert cell == ("{} ({})".format(*map(said, means)) if means else "–")
