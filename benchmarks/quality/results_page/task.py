"""The page of one benchmark: what was run, remarks, the tables, what tuning chose."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from curenu.bench import BRIEF, csv_table, lines_of, markdown
from curenu.bench.summary import Line
from curenu.bench.tables import EDGE, edged
from curenu.report import Figure, markdown_table, number
from results_page.source import Source

__all__ = ["cells_page", "closing", "figures_csv", "full_csv", "full_html", "opening"]

HOW = "[How to read the tables](../results.md#how-to-read-the-tables)."


def cells_page(source: Source) -> str:
    """`docs/results/NAME.md` of what `curenu bench` wrote."""
    results = source.results
    config = results["config"]
    seeds = ", ".join(
        f"{words} {len(config[part])}"
        for part, words in (
            ("trained", "trained networks"),
            ("oracles", "oracles an erasure"),
            ("seeds", "seeds of every method"),
        )
    )
    facts = (
        f"`curenu bench {source.name} --jobs {results['jobs']}`: {seeds}, grid points of any "
        f"method at most {config['tuning_budget']}, before a grid went on at an edge. "
        f"curenu {results['curenu']}, torch {results['torch']}, {results['cores']} cores."
    )
    parts = [
        opening(source, config["about"], facts),
        source.remarks,
        markdown(results, BRIEF),
        _tuned(results),
        _degenerate(results),
        closing(source),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def opening(source: Source, about: str, facts: str) -> str:
    """Title, what it is about, and whether it is of the present defaults."""
    age = f"**Older than the present defaults**: {source.older}." if source.older else ""
    made = source.made[0].upper() + source.made[1:]
    parts = [f"# {source.title}", about, facts, f"{made}. {age}".strip(), HOW]
    return "\n\n".join(part for part in parts if part)


def closing(source: Source) -> str:
    """The full tables to take away, and what they were made from."""
    name = source.name
    full = f", as [CSV]({name}.csv) or as an [HTML table]({name}.html)"
    only = f" as [CSV]({name}.csv)"
    return (
        f"## Every figure\n\nAll figures{full if source.kind == 'cells' else only}. Made from "
        f"`benchmarks/quality/results/{name}.json`, whose SHA-256 is\n`{source.digest}`."
    )


def full_csv(source: Source) -> str:
    """Every figure of every row."""
    return csv_table(source.results)


def figures_csv(source: Source, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Every figure of rows that are no cells of a benchmark, each with its words."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["row", "erasure", "seed", "figure", "value"])
    for words, row in rows:
        found = {finding["name"]: finding["value"] for finding in row["findings"]}
        found |= {key: row.get(key) for key in ("examples ratio", "weighted ratio", "update_norm")}
        about = (words, row.get("erasure", ""), row.get("seed", ""))
        for name, value in found.items():
            if value is not None:
                writer.writerow([*about, name, f"{float(value):.6g}"])
    return buffer.getvalue()


def full_html(source: Source) -> str:
    """Every figure as tables, one an erasure, a row a method."""
    lines = lines_of(source.results)
    tables = []
    for erasure in dict.fromkeys(line.erasure for line in lines):
        rows = [line for line in lines if line.erasure == erasure]
        tables += [f"<h2>{html.escape(erasure)}</h2>", _table(rows)]
    title = html.escape(source.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:14px sans-serif}table{border-collapse:collapse}"
        "td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #bbb;white-space:nowrap}"
        f"</style></head>\n<body><main><h1>{title}</h1>\n"
        "<p>Mean ± half of the 95 % interval, in brackets the number of networks.</p>\n"
        + "\n".join(tables)
        + "\n</main></body></html>\n"
    )


def _table(rows: Sequence[Line]) -> str:
    names = list(dict.fromkeys(name for line in rows for name in line.figures))
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ("method", *names))
    body = []
    for line in rows:
        cells = "".join(f"<td>{_said(line.figures.get(name))}</td>" for name in names)
        body.append(f'<tr><th scope="row">{html.escape(line.method)}</th>{cells}</tr>')
    lines = "\n".join(body)
    return f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"


def _said(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    half = f" ± {number(figure.half)}" if figure.interval else ""
    return f"{number(figure.mean)}{half} ({figure.count})"


def _tuned(results: Mapping[str, Any]) -> str:
    """What tuning chose, a line a method; what is at the edge of its grid is marked."""
    chosen: dict[str, list[str]] = {}
    edges = {erasure: edged(dict(results), erasure) for erasure in results["requests"]}
    for entry in results["tuning"]:
        said = ", ".join(f"{key} {value}" for key, value in entry["arguments"].items())
        mark = f" {EDGE}" if entry["method"] in edges[entry["erasure"]] else ""
        chosen.setdefault(entry["method"], []).append(f"{entry['erasure']}: {said}{mark}")
    lines = [f"- {method}: {'; '.join(said)}" for method, said in chosen.items()]
    head = f"## What tuning chose\n\nOn another request. {EDGE}: at the edge of what was tried."
    return "\n".join([head, "", *lines]) if lines else ""


def _degenerate(results: Mapping[str, Any]) -> str:
    """Rank and share of eigenvalues not positive along training, and lengths of steps."""
    found = results["degeneracy"]
    if not found or "moments" not in found:
        return ""
    rows = [
        [f"{m['share of training']:.0%}", f"{m['rank']:,.0f} of {found['parameters']:,}",
         f"{m['share not positive']:.0%}", f"{m['lambda_min']:.3g}", f"{m['lambda_max']:.3g}"]
        for m in found["moments"]
    ]  # fmt: skip
    steps = ", ".join(f"{name} {length:.3g}" for name, length in found["norms"].items())
    heads = ["of training", "rank", "not positive", "smallest", "largest"]
    return (
        f"## Curvature\n\nOn {found['examples']} retained examples:\n\n"
        f"{markdown_table(heads, rows)}\n\nLength of one step: {steps}."
    )
