"""Makes `docs/strangers.md` from the JSON that `run.py` wrote, and from nothing else.

python benchmarks/strangers/page.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curenu.report import markdown_table

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "strangers.md"
SETS = ("forget", "retain", "test")
INTRODUCTION = """# The defaults on tasks they were not found on

Made by `make strangers` from `benchmarks/strangers/results/*.json`. Sixteen small tasks, no two
with the same data, network and recipe: tables, images, sentences and regression; linear models,
perceptrons, convolutions with batch and group norm, attention, GRU and LSTM; momentum and Adam;
trained to the minimum and hardly trained; the loss by name, as torch's object and as a function
of one's own. `unlearn` is told the training time and nothing else. Two networks and four retrained
ones an erasure.

D of a set is the root mean square, over its examples, of the distance of a model's predictions
(probabilities of classes, or values) from the mean of the retrained models'. It is shown over D of
a retrained model from the mean of the others: at 1 a model is as near as another retraining.
*Before* is the trained model. *Cost* is in forward passes of one example, over those of one
retraining. *Not ok* counts networks whose result says that it is not to be used, and why.
"""
PARTS = {
    "development": "The eight that may decide something",
    "report": "The eight that are only reported",
}


def page(parts: Mapping[str, Mapping[str, Any]], remarks: str) -> str:
    """`docs/strangers.md`."""
    made = [INTRODUCTION, remarks]
    for name, title in PARTS.items():
        found = parts[name]
        made.append(f"## {title}\n\n{_summary(found['rows'])}\n\n{_table(found['rows'])}")
        made.append(f"Made on {found['date']} at commit {found['commit'] or 'unknown'}.")
    return "\n\n".join(part.strip() for part in made) + "\n"


def _summary(rows: list[dict[str, Any]]) -> str:
    usable = [row for row in rows if row["ok"]]
    gap = [row for row in usable if row["before forget"] > 1.5]
    nearer = sum(row["after forget"] < row["before forget"] for row in gap)
    worse = sum(row["after retain"] > 1.1 * row["before retain"] + 0.05 for row in usable)
    return (
        f"{len(usable)} of {len(rows)} results are said to be usable. Of the {len(gap)} of those "
        f"where the trained model is at more than 1.5 on what goes, {nearer} end nearer there; "
        f"{worse} usable results are further off on what stays by more than a tenth. The dearest "
        f"cost {max(row['cost'] for row in rows):.2f} of a retraining."
    )


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ["task", "erasure", *(f"{part}: before → after" for part in SETS), "cost", "not ok"]
    lines = []
    for task, erasure in dict.fromkeys((row["task"], row["erasure"]) for row in rows):
        some = [row for row in rows if (row["task"], row["erasure"]) == (task, erasure)]
        bad = [row["status"] for row in some if not row["ok"]]
        told = f"{len(bad)} of {len(some)}: {', '.join(dict.fromkeys(bad))}" if bad else ""
        pairs = (
            f"{_mean(some, f'before {part}')} → {_mean(some, f'after {part}')}" for part in SETS
        )
        lines.append([task, erasure, *pairs, _mean(some, "cost"), told])
    return markdown_table(heads, lines)


def _mean(rows: Iterable[Mapping[str, Any]], key: str) -> str:
    value = float(np.mean([row[key] for row in rows]))
    return "≫ 100" if value > 100 else f"{value:.2f}"


def main() -> None:
    results = HERE / "results"
    parts = {name: json.loads((results / f"{name}.json").read_text()) for name in PARTS}
    PAGE.write_text(page(parts, (results / "remarks.md").read_text()))


if __name__ == "__main__":
    main()
