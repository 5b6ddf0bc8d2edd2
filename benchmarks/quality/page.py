"""Makes `docs/results.md` from the JSON in `results/`, and from nothing else.

    python benchmarks/quality/page.py

`results/NAME.json` is a copy of the `results.json` of `curenu bench NAME`, or what `plateau.py`
or `sequence.py` wrote; `results/NAME.md`, if there is one, are remarks on it: where ours and the
published figures differ, and why.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curenu.bench import BRIEF, markdown
from curenu.report import markdown_table, number

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "results.md"
INTRODUCTION = """# Results

**In short.** After random parts of the training data are erased, the network is 0.9 to 1.4 times
as far from retrained networks as those are from each other (R, where 1 is the aim); after halves
of classes 1.1 to 1.9 times. That takes an eighth to two fifths of a retraining's time. Wrong
labels and whole classes are harder: on networks that know them by heart only part of the way is
gone, at up to the cost of a retraining. Of whole people of a recommender half of the gap is
closed, and R stays far above 1. Tuned first-order descent on the same objective is often nearer
in these cases and costs more. The settings of the founding paper move the network away from
retraining on random erasures.
"""
HOW = """## How to read the tables

Headings lead to the [glossary](glossary.md), and [Concepts](concepts.md) explains R and G with an
example. Here ± is half a 95 % interval over trained networks, unless a section says otherwise. Most
of these runs shared two cores with each other, up to six at a time: seconds are rough, within a
table too. Examples passed, in the JSON, are exact. Made by `make results` from the JSON in
`benchmarks/quality/results`, each the outcome of one `curenu bench` or of the script that its
section names. [Run a benchmark](bench.md) says what is compared with what.
"""
FIRST = (
    "anchored-adult", "anchored-fashion-mnist", "anchored-newsgroups", "anchored-digits",
    "recommender-users",
)  # fmt: skip
"""The sections that come first and stand in the headline; all others follow by name."""
OTHERS = ("claims-", "attacks-")
"""How the names of files begin that have pages of their own."""
HEADLINE = """## The default method in one table

`stocurenu`, nothing set, on every task that is compared below: R on the forget set before and
after (1 is as close as two retrainings are to each other), the part of the gap in mean loss that
was closed (1 is all), and the time over that of one retraining. A dash: there was no gap to close.
"""


def section(name: str, results: dict[str, Any], remarks: str) -> str:
    """Title, what was run, the remarks, every table, what tuning chose."""
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
        f"`curenu bench {name} --jobs {results['jobs']}`: {seeds}, grid points of any method at "
        f"most {config['tuning_budget']}. "
        f"curenu {results['curenu']}, torch {results['torch']}, {results['cores']} cores, "
        f"{made(results)}."
    )
    parts = [f"## {config['title']}", config["about"], facts, remarks, markdown(results, BRIEF)]
    return "\n\n".join(part for part in (*parts, tuned(results), degenerate(results)) if part)


def made(results: dict[str, Any]) -> str:
    """When, and by which commit; what is older says so."""
    if results.get("date") is None:
        return "made before results named their commit, by `stocurenu`'s seven steps alone"
    return f"made on {results['date']} at commit {results['commit'] or 'unknown'}"


def tuned(results: dict[str, Any]) -> str:
    """What tuning chose, a line a method."""
    chosen: dict[str, list[str]] = {}
    for entry in results["tuning"]:
        said = ", ".join(f"{key} {value}" for key, value in entry["arguments"].items())
        chosen.setdefault(entry["method"], []).append(f"{entry['erasure']}: {said}")
    lines = [f"- {method}: {'; '.join(said)}" for method, said in chosen.items()]
    return "\n".join(["Chosen by tuning on another request:", "", *lines]) if lines else ""


def degenerate(results: dict[str, Any]) -> str:
    """Rank and share of eigenvalues not positive along training, and lengths of steps."""
    found = results["degeneracy"]
    if not found or "moments" not in found:
        return ""
    rows = [
        f"| {m['share of training']:.0%} | {m['rank']:,.0f} of {found['parameters']:,} "
        f"| {m['share not positive']:.0%} | {m['lambda_min']:.3g} | {m['lambda_max']:.3g} |"
        for m in found["moments"]
    ]
    steps = ", ".join(f"{name} {length:.3g}" for name, length in found["norms"].items())
    head = "| of training | rank | not positive | smallest | largest |\n" + "| --- " * 5 + "|"
    return "\n".join(
        [f"Curvature on {found['examples']} retained examples:", "", head, *rows, "",
         f"Length of one step: {steps}."]
    )  # fmt: skip


def around(name: str, results: dict[str, Any], remarks: str) -> str:
    """The sweep around the defaults: a table an erasure, the defaults' row first and bold."""
    facts = (
        f"`benchmarks/quality/plateau.py` on {_setting(results)}: sample size, products, steps and "
        "penalty (as a share of the one that is best for a step alone) of `stocurenu`, one at a "
        "time, then together. Defaults: "
        + ", ".join(f"{_words(key)} {value:g}" for key, value in results["defaults"].items())
        + ". ± is half the range over the seeds."
    )
    parts = ["## Around the defaults", facts, remarks]
    for erasure in dict.fromkeys(row["erasure"] for row in results["sweep"]):
        references = [row for row in results["rows"] if row["erasure"] == erasure]
        swept: dict[str, list[dict[str, Any]]] = {}
        for row in results["sweep"]:
            if row["erasure"] == erasure:
                swept.setdefault(_changed(row["point"], results["defaults"]), []).append(row)
        lines = [[row["name"], *_cells([row])] for row in references]
        lines += [[point, *_cells(rows)] for point, rows in swept.items()]
        lines.append(["lowest to highest", *_ranges(list(swept.values()))])
        parts.append(f"**{erasure}**\n\n" + markdown_table(["changed", *COLUMNS], lines))
    return "\n\n".join(part for part in parts if part)


def sequences(name: str, results: dict[str, Any], remarks: str) -> str:
    """Sequences beside the one-shot erasure of the same examples, with their difference."""
    facts = (
        f"`benchmarks/quality/sequence.py` on {_setting(results)}: the examples of "
        f"*{results['context']['erasure']}* in several requests one after the other, and at once. "
        "± is half the range over the seeds, in brackets the mean difference from the erasure at "
        "once with the same seed. *Drift* is the divergence from the erasure at once over that "
        "one's from the first model; [Several requests](sequences.md) explains it and the advice."
    )
    lines = [[row["name"], "", *_cells([row]), "", ""] for row in results["rows"]]
    lines.append(["at once", "", *_cells(results["at once"]), *_meter(results["at once"])])
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in results["sequences"]:
        found.setdefault((row["rounds"], row["anchor"]), []).append(row)
    for (rounds, anchor), rows in found.items():
        lines.append([f"{rounds} requests", anchor, *_cells(rows), *_meter(rows)])
    table = markdown_table(["", "anchor", *COLUMNS, "drift", "advice"], lines)
    return "\n\n".join(part for part in ("## Sequences", facts, remarks, table) if part)


COLUMNS = {
    "Rf": "Rf", "Rr": "Rr", "Rt": "Rt", "G acc": "G accuracy", "G loss": "G loss",
    "examples ÷ retrain": "examples ratio",
}  # fmt: skip


def _setting(results: Mapping[str, Any]) -> str:
    said = results["context"]
    seeds, oracles = len(said["seeds"]), len(said["oracles"])
    return (
        f"`{said['task']}` (one trained network, {oracles} oracles, seeds of the method: {seeds}; "
        f"curenu {results['curenu']}, torch {results['torch']})"
    )


def _changed(point: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    changed = [f"{_words(key)} {v:g}" for key, v in point.items() if v != defaults[key]]
    return ", ".join(changed) or "**defaults**"


def _words(key: str) -> str:
    return key.removeprefix("max_").replace("_", " ")


def _values(rows: Iterable[Mapping[str, Any]], figure: str) -> list[float]:
    """What the rows that have that figure say of it."""
    found = [{f["name"]: f["value"] for f in row["findings"]} | dict(row) for row in rows]
    return [float(row[figure]) for row in found if row.get(figure) is not None]


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mean, half the range, and the mean difference from the erasure at once if there is one."""
    cells = []
    for figure in COLUMNS.values():
        values = _values(rows, figure)
        text = number(float(np.mean(values)), 2) if values else "–"
        if len(values) > 1:
            text += f" ± {np.ptp(values) / 2:.2f}"
        apart = [r["difference"][figure] for r in rows if figure in r.get("difference", {})]
        cells.append(text + (f" ({round(float(np.mean(apart)), 2) + 0.0:+.2f})" if apart else ""))
    return cells


def _ranges(points: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """The lowest and the highest mean of any point."""
    cells = []
    for figure in COLUMNS.values():
        means = [float(np.mean(values)) for rows in points if (values := _values(rows, figure))]
        cells.append(f"{number(min(means), 2)} to {number(max(means), 2)}" if means else "–")
    return cells


def _meter(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Drift and advice after the last request."""
    last = [row["requests"][-1]["drift"] for row in rows]
    shares = [
        check["divergence"] / check["first_divergence"]
        for check in (drift["check"] for drift in last)
        if check and check["divergence"] is not None and check["first_divergence"]
    ]
    advice = sorted({word for drift in last for word in drift["advice"]})
    return [number(float(np.mean(shares)), 2) if shares else "–", ", ".join(advice) or "–"]


SECTIONS = {"cells": section, "sweep": around, "sequences": sequences}
"""What to make of a file, by what it holds."""


def text(folder: Path) -> str:
    """The page of the results in `folder`; files of other programs are left out, by name."""
    parts = []
    found = {name: place for place, name in enumerate(FIRST)}
    paths = sorted(folder.glob("*.json"), key=lambda p: (found.get(p.stem, len(found)), p.name))
    for path in paths:
        if path.name.startswith(OTHERS):
            continue
        results = json.loads(path.read_text())
        made = next((make for part, make in SECTIONS.items() if part in results), None)
        if made is None:
            print(f"{path.name} is of no program known here: left out", file=sys.stderr)
            continue
        remarks = path.with_suffix(".md")
        said = remarks.read_text().strip() if remarks.is_file() else ""
        parts.append(made(path.stem, results, said).rstrip() + "\n")
    return "\n".join([INTRODUCTION, headline(paths), HOW, *parts]).rstrip() + "\n"


def headline(paths: Iterable[Path]) -> str:
    """One row an erasure: the default before and after, from the files that compare it."""
    rows = []
    for path in paths:
        results = json.loads(path.read_text())
        if path.stem in FIRST and "cells" in results:
            rows += [_row(results, erasure) for erasure in results["requests"]]
    heads = ["task", "erasure", "Rf, nothing done", "Rf, erased", "G loss", "÷ retrain"]
    if not rows:
        return ""
    return "\n".join([HEADLINE, markdown_table(heads, [row for row in rows if row]), ""])


def _row(results: Mapping[str, Any], erasure: str) -> list[str]:
    """Means over networks and seeds; empty where the default or do nothing is missing."""
    means: dict[str, list[str]] = {}
    for method in ("do nothing", "stocurenu"):
        cells = [c for c in results["cells"] if (c["erasure"], c["method"]) == (erasure, method)]
        for figure in ("Rf", "G loss", "ratio"):
            values = _values((cell for cell in cells if "findings" in cell), figure)
            said = number(float(np.mean(values)), 2) if values else "–"
            means.setdefault(figure, []).append(said)
    if "–" in means["Rf"]:
        return []
    task = results["config"]["task"]["name"]
    return [task, erasure, *means["Rf"], means["G loss"][1], means["ratio"][1]]


def main() -> None:
    PAGE.write_text(text(HERE / "results"))


if __name__ == "__main__":
    main()
