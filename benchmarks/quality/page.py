"""Makes `docs/results.md` from the JSON in `results/`, and from nothing else.

    python benchmarks/quality/page.py

`results/NAME.json` is a copy of the `results.json` of `curenu bench NAME`; `results/NAME.md`,
if there is one, are remarks on it: where ours and the published figures differ, and why.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from curenu.bench import BRIEF, markdown

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "results.md"
INTRODUCTION = """# Results

Made by `make results` from the JSON in `benchmarks/quality/results`, each the outcome of one
`curenu bench`. [Benchmarks](bench.md) says what is compared with what, and what every column means.

- **Rf, Rr, Rt**: divergence from the oracles over the oracles' own, on forget, retain and test
  set. 1 is as close as two retrainings are to each other.
- **G**: part of the way from the trained model to the oracles on the forget set, by accuracy and
  loss. 1 is all of it, below 0 further away than before.
- **ToW**: agreement of forget, retain and test accuracy with the oracles'; 1 is all of it.
- **RMIA**, **U-LiRA**: how well an attack tells the forget set from test examples, or unlearned
  models from retrained ones; aim at the oracle's.
- **÷ retrain**: seconds over those of one retraining. Seconds are of runs side by side: compare
  them within a table only.
- ± is half a 95 % interval over networks and seeds.
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
        f"curenu {results['curenu']}, torch {results['torch']}, {results['cores']} cores."
    )
    parts = [f"## {config['title']}", config["about"], facts, remarks, markdown(results, BRIEF)]
    return "\n\n".join(part for part in (*parts, tuned(results), degenerate(results)) if part)


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


def main() -> None:
    sections = [INTRODUCTION]
    for path in sorted((HERE / "results").glob("*.json")):
        results = json.loads(path.read_text())
        if "cells" not in results:
            print(f"{path.name} is not of `curenu bench`: left out", file=sys.stderr)
            continue
        remarks = path.with_suffix(".md")
        text = remarks.read_text().strip() if remarks.is_file() else ""
        sections.append(section(path.stem, results, text))
    PAGE.write_text("\n".join(sections).rstrip() + "\n")


if __name__ == "__main__":
    main()
