"""The comparison as text: Markdown for people, CSV for scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from curenu.bench.config import MethodConfig
from curenu.bench.summary import Line, lines_of
from curenu.bench.tuning import at_edge
from curenu.report import (
    LEGEND,
    Column,
    Figure,
    Shown,
    columns_of,
    markdown_table,
    marked,
    number,
)

__all__ = [
    "BRIEF",
    "COLUMNS",
    "FURTHER",
    "cells_of",
    "csv_table",
    "edged",
    "erased",
    "markdown",
    "missing",
    "published",
    "shown",
]


BRIEF: tuple[Column, ...] = columns_of(
    "Rf", "Rr", "Rt", "G accuracy", "G loss", "ToW", "RMIA AUC", "U-LiRA AUC",
    "probability f", "model utility", "forget quality", "examples ratio", "weighted ratio",
)  # fmt: skip

FURTHER: tuple[Column, ...] = columns_of(
    "FA", "RA", "TA", "KLoM 50 %", "forgetting score", "|∇F|", "lambda_min", "update_norm", "ratio"
)

COLUMNS = (*BRIEF, *FURTHER)

EDGE = "‡"
AT_EDGE = "the value that tuning chose is at the edge of its grid; beyond it may be a better one."
UNCOUNTED = (
    "A dash under *weighted ÷*: the run was made before cells counted weighted examples, or the "
    "method counts none."
)

_KINDS = {
    "random": "drawn at random",
    "classes": "of class {classes}",
    "mislabelled": "drawn at random, those whose labels had been spoilt before training",
    "groups": "all those of {count} people or other groups",
}


def shown(lines: Sequence[Line], columns: Sequence[Column] = COLUMNS) -> list[Column]:
    """Those of `columns` that any of the lines has a figure for."""
    return [c for c in columns if any(c.figure in line.figures for line in lines)]


def cells_of(line: Line, columns: Sequence[Column] = COLUMNS) -> list[str]:
    """The line's texts under `columns`: mean and half of the interval; a dash for none."""
    return [_text(line.figures.get(column.figure), column) for column in columns]


def erased(results: dict[str, Any], name: str) -> str:
    """What goes, in words: how many examples of how many, which, in how many rounds."""
    erasure = next(e for e in results["config"]["erasures"] if e["name"] == name)
    size = results["requests"][name]
    words = _KINDS[erasure["kind"]].format(
        classes=" and ".join(map(str, erasure["classes"])), count=erasure["count"]
    )
    part = ""
    if erasure["kind"] == "classes":
        share = erasure["share"]
        part = "all those " if share == 1 else f"{share:.0%} of those "
    rounds = f", in {erasure['rounds']} requests one after the other" * (erasure["rounds"] > 1)
    return f"{size['erased']:,} of {size['of']:,} training examples: {part}{words}{rounds}."


def published(results: dict[str, Any], erasure: str, rows: Sequence[Line]) -> list[list[str]]:
    """The paper's printed figures beside ours: what, theirs, ours, their setting."""
    found = []
    for entry in results["config"]["published"]:
        if entry["erasure"] == erasure:
            ours = next((line for line in rows if line.method == entry["method"]), None)
            figure = ours.figures.get(entry["figure"]) if ours else None
            what = f"{entry['method']}, {entry['figure']}"
            found.append([what, number(entry["value"]), _short(figure, 3), entry["setting"]])
    return found


def missing(results: dict[str, Any], erasure: str) -> list[str]:
    """Audits that could not answer: the reason, and of which methods unless of all."""
    own = [entry for entry in results["ensembles"] if entry["erasure"] == erasure]
    found: dict[str, list[str]] = {}
    for entry in own:
        for reason in entry["missing"]:
            found.setdefault(reason, []).append(entry["method"])
    return [
        reason if len(methods) == len(own) else f"{', '.join(methods)}: {reason}"
        for reason, methods in found.items()
    ]


def markdown(results: dict[str, Any], of: Sequence[Column] = COLUMNS) -> str:
    """A table an erasure with its columns among `of`; failures with their reason below."""
    parts: list[str] = []
    lines = lines_of(results)
    for erasure in dict.fromkeys(line.erasure for line in lines):
        rows = [line for line in lines if line.erasure == erasure]
        columns, models = shown(rows, of), [line.model() for line in rows]
        parts += [f"**{erasure}**: {erased(results, erasure)}", ""]
        edges = edged(results, erasure)
        table = [
            [_named(line) + f" {EDGE}" * (line.method in edges), *map(_emphasised, cells)]
            for line, cells in zip(rows, marked(models, columns, _text), strict=True)
        ]
        parts += [markdown_table(["method", *(c.heading for c in columns)], table), ""]
        if edges:
            parts += [f"{EDGE}: {AT_EDGE}", ""]
        if any(c.figure == "weighted ratio" for c in columns) and _uncounted(rows):
            parts += [UNCOUNTED, ""]
        reasons = {f"{line.method} failed: {line.failed[0]}" for line in rows if line.failed}
        unknown = [f"Not audited: {reason}" for reason in missing(results, erasure)]
        parts += [*(f"- {reason}" for reason in [*sorted(reasons), *unknown]), ""]
        said = published(results, erasure, rows)
        if said:
            parts += [markdown_table(["the paper", "its figure", "ours", "its setting"], said), ""]
    return "\n".join([*parts, LEGEND, ""])


def edged(results: dict[str, Any], erasure: str) -> set[str]:
    """The methods for which tuning chose a value at the edge of what it tried."""
    found = set()
    for entry in results["tuning"]:
        grids = [m["grid"] for m in results["config"]["methods"] if _title(m) == entry["method"]]
        names = list(grids[0]) if grids else []
        tried = [{name: t["arguments"][name] for name in names} for t in entry["trials"]]
        if entry["erasure"] == erasure and at_edge(tried, entry["arguments"]):
            found.add(entry["method"])
    return found


def csv_table(results: dict[str, Any]) -> str:
    """Every figure in a row of its own: erasure, method, figure, mean, interval, count."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["erasure", "method", "figure", "mean", "low", "high", "count"])
    for line in lines_of(results):
        for name, figure in line.figures.items():
            low, high = figure.interval or ("", "")
            numbers = [_plain(value) for value in (figure.mean, low, high)]
            writer.writerow([line.erasure, line.method, name, *numbers, figure.count])
        for reason in line.failed:
            writer.writerow([line.erasure, line.method, "failed", reason, "", "", ""])
    return buffer.getvalue()


def _title(method: dict[str, Any]) -> str:
    return MethodConfig.model_validate(method).title


def _uncounted(rows: Sequence[Line]) -> bool:
    """Whether a method has results without weighted examples."""
    return any(line.figures and "weighted ratio" not in line.figures for line in rows)


def _plain(value: float | str) -> str:
    """Six digits, as results are kept: more would be the platform's."""
    return value if isinstance(value, str) else f"{value:.6g}"


def _named(line: Line) -> str:
    return f"{line.method} ({len(line.failed)} failed)" if line.failed else line.method


def _emphasised(cell: Shown) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} {cell.mark}".rstrip()


def _text(figure: Figure | None, column: Column) -> str:
    return _short(figure, column.digits)


def _short(figure: Figure | None, digits: int) -> str:
    if figure is None:
        return "–"
    if figure.interval is None or figure.count < 2:
        return number(figure.mean, digits)
    half = figure.half
    tiny = abs(figure.mean) < 0.5 * 10.0**-digits  # neither "-0.00" nor more digits than the ±
    text = number(0.0 if tiny else figure.mean, digits)
    return f"{text} ± {half:.{0 if half >= 10 else digits}f}"
