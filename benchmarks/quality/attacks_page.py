"""Makes `docs/attack_success.md` from the JSON that `attacks.py` wrote, and from nothing else.

python benchmarks/quality/attacks_page.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curenu.report import markdown_table

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "attack_success.md"
INTRODUCTION = """# Attack success, with and without the screen

Made by `make results` from `benchmarks/quality/results/attacks-*.json`, which
`benchmarks/quality/attacks.py` writes. The attacker of [malicious requests](malicious_requests.md)
knows the model, the loss, the training data and half of the test set; the screen looks at the same
half. Harm is measured on the other half: the rise of the mean loss, and the fall of the accuracy in
percentage points; below zero the model got better. ± is half the range over the networks.
"""
SINGLE = """## One request of {size} examples

*Perturbed inputs* are the random members with inputs changed by at most {radius:g} a pixel, handed
in instead of the original ones. *The most harmful that pass* are chosen by somebody who knows the
screen. *Flagged* counts networks on which the screen refuses the request; the harm of those is
then nil.
"""
SESSIONS = """## The same, two examples at a time

Ten requests by `stocurenu`, each from the model of the one before. *Granted* counts requests
before the first that is flagged. *Sliced*: the most harmful members, the least harmful of them
first. *Below every threshold of its own*: each request the most harmful pair that passes alone.
"""


def page(results: Mapping[str, Any], remarks: str = "") -> str:
    """`docs/attack_success.md`."""
    said = results["context"]
    facts = (
        f"`{said['task']}`, {len(said['trained'])} trained networks, curenu {results['curenu']}, "
        f"torch {results['torch']}, made on {results['date']} at commit "
        f"{results['commit'] or 'unknown'}."
    )
    parts = [
        INTRODUCTION,
        facts,
        remarks,
        SINGLE.format(**said),
        _single(results["single"]),
        SESSIONS,
        _sessions(results["sessions"]),
        _refusals(results["refusals"], said["size"]),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _single(rows: list[dict[str, Any]]) -> str:
    lines = []
    for request, method in dict.fromkeys((r["request"], r["method"]) for r in rows):
        some = [r for r in rows if (r["request"], r["method"]) == (request, method)]
        flagged = sum(bool(r["flagged"]) for r in some)
        lines.append([request, method, *_harm(some), f"{flagged} of {len(some)}"])
    return markdown_table(["request", "method", "loss", "accuracy", "flagged"], lines)


def _sessions(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name in dict.fromkeys(r["session"] for r in rows):
        some = [r for r in rows if r["session"] == name]
        granted = ", ".join(str(r["granted"]) for r in some)
        without, with_ = (_harm([r[key] for r in some]) for key in ("open", "screened"))
        lines.append([name, *without, granted, *with_])
    heads = ["session", "loss", "accuracy", "granted of 10", "loss, screened", "accuracy, screened"]
    return markdown_table(heads, lines)


def _refusals(rows: list[dict[str, Any]], size: int) -> str:
    total = {key: sum(r[key] for r in rows) for key in ("random", "draws", "classes", "groups")}
    return (
        "## Genuine requests that are flagged\n\n"
        f"{total['random']} of {total['draws']} random requests of {size} examples (about one in "
        f"a hundred at most is meant to be), and {total['classes']} of {total['groups']} requests "
        "for a whole class."
    )


def _harm(rows: list[dict[str, Any]]) -> list[str]:
    loss, points = [r["loss"] for r in rows], [100 * r["accuracy"] for r in rows]
    return [_mean(loss, 4), _mean(points, 1)]


def _mean(values: list[float], places: int) -> str:
    half = float(np.ptp(values)) / 2
    return f"{np.mean(values) + 0.0:.{places}f} ± {half:.{places}f}".replace("-", "−")


def main() -> None:
    (path,) = (HERE / "results").glob("attacks-*.json")
    remarks = path.with_suffix(".md")
    PAGE.write_text(page(json.loads(path.read_text()), remarks.read_text()))


if __name__ == "__main__":
    main()
