"""The tables of `docs/results.md`, made from the JSON in `results/` and from nothing else.

python benchmarks/quality/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "results.md"
INTRODUCTION = """# Results

Made by `python benchmarks/quality/tables.py` from the JSON of `benchmarks/quality/run.py`; mean and
standard deviation over two trained networks and two seeds of the method, against three oracles of
other seeds.

- **Rf, Rr, Rt**: divergence from the oracles over the oracles' own, on forget, retain and test set.
  1 is as close as two retrainings are to each other.
- **G**: part of the way from the trained model to the oracles on the forget set, by accuracy, loss
  and margin. 1 is all of it, below 0 further away than before.
- **ratio**: seconds over those of one retraining.

The rates of first-order rivals are a grid: its best row is chosen with hindsight, which the other
rows do not need.
"""


def summary(records: list[dict[str, Any]]) -> str:
    """Mean and spread over trained networks and seeds, a Markdown table an erasure."""
    lines: list[str] = []
    columns = ["Rf", "Rr", "Rt", "G accuracy", "G loss", "G margin", "FA", "TA", "ratio"]
    for erasure in dict.fromkeys(record["erasure"] for record in records):
        rows = [record for record in records if record["erasure"] == erasure]
        lines += [f"\n**{erasure}**\n", "| method | " + " | ".join(columns) + " |"]
        lines.append("| --- " * (len(columns) + 1) + "|")
        for method in dict.fromkeys(row["method"] for row in rows):
            same = [row for row in rows if row["method"] == method and "failed" not in row]
            failed = sum(row["method"] == method for row in rows) - len(same)
            cells = [_cell([row[column] for row in same]) for column in columns] if same else []
            note = f" ({failed} failed)" if failed else ""
            lines.append(f"| {method}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float | None]) -> str:
    if any(value is None for value in values):
        return "no gap"
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def main() -> None:
    pages = [INTRODUCTION]
    for path in sorted((HERE / "results").glob("*.json")):
        result = json.loads(path.read_text())
        facts = (
            f"torch {result['torch']}, {result['threads']} threads, commit {result['commit'][:12]}"
        )
        pages.append(f"## {path.stem}\n\n{facts}.\n{summary(result['records'])}")
    PAGE.write_text("\n".join(pages))


if __name__ == "__main__":
    main()
