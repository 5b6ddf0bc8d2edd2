"""Makes `docs/claims.md` from the JSON that `claims.py` wrote, and from nothing else.

python benchmarks/quality/claims_page.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curenu.report import markdown_table, number

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "claims.md"
FAR = 100.0  # beyond this only the direction is said
INTRODUCTION = """# What the paper says of Newton's method, measured

Made by `make results` from `benchmarks/quality/results/claims-*.json`, which
`benchmarks/quality/claims.py` writes. The founding paper gives three reasons for a cubic term. Each
is measured here on its own; R and G are those of [results](results.md), ± is half the range over
the networks.
"""


def page(results: Mapping[str, Any], remarks: str = "") -> str:
    """`docs/claims.md`."""
    said = results["context"]
    facts = (
        f"`{said['task']}`, {len(said['trained'])} trained networks, {len(said['oracles'])} "
        f"oracles an erasure, curenu {results['curenu']}, torch {results['torch']}, made on "
        f"{results['date']} at commit {results['commit'] or 'unknown'}."
    )
    parts = [
        INTRODUCTION,
        facts,
        remarks,
        *_steps(results["claims"]),
        *_storage(results["storage"]),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _steps(rows: list[dict[str, Any]]) -> Iterable[str]:
    """A table an erasure; what the best and the worst setting make of it."""
    yield (
        "## Steps explode where the Hessian is singular, and the damping must be tuned\n\n"
        "*Move* is the length of the whole change over that of the trained weights. Below each "
        "table: R on the test set at the best and at the worst setting of a family."
    )
    for erasure in dict.fromkeys(row["erasure"] for row in rows):
        own = [row for row in rows if row["erasure"] == erasure]
        keys = dict.fromkeys((row["family"], row.get("setting")) for row in own)
        lines = []
        for family, setting in keys:
            some = [r for r in own if (r["family"], r.get("setting")) == (family, setting)]
            name = f"{family} {setting:g}" if setting else family
            lines.append([name, *(_mean(some, key) for key in ("move", "Rf", "Rr", "Rt"))])
            lines[-1] += [_mean(some, key) for key in ("G loss", "examples ratio")]
        heads = ["", "move", "Rf", "Rr", "Rt", "G loss", "examples ÷ retrain"]
        yield f"### {erasure}\n\n{markdown_table(heads, lines)}\n\n{_spread(own)}"


def _spread(rows: list[dict[str, Any]]) -> str:
    told = []
    for family in dict.fromkeys(row["family"] for row in rows):
        settings = {r["setting"] for r in rows if r["family"] == family and "setting" in r}
        if len(settings) < 2:
            continue
        means = {
            setting: float(np.mean([_value(r, "Rt") for r in rows
                                    if r["family"] == family and r["setting"] == setting]))
            for setting in settings
        }  # fmt: skip
        best, worst = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        told.append(
            f"- {family}: {_said(means[best])} at {best:g}, {_said(means[worst])} at {worst:g}."
        )
    return "\n".join(told)


def _storage(rows: list[dict[str, float]]) -> Iterable[str]:
    yield (
        "## O(d n) storage\n\n"
        "A system that keeps a vector for every training example (Hessian-free online removal, "
        "Qiao et al., 2025) needs n vectors of d weights; `stocurenu` plans for a number of them "
        "that does not depend on n. Float32, counted:\n\n"
        + markdown_table(
            ["n", "d", "a vector an example", "stocurenu", "vectors"],
            [
                [
                    f"{r['n']:,}",
                    f"{r['d']:,}",
                    _size(r["each"]),
                    _size(r["ours"]),
                    f"{r['vectors']}",
                ]
                for r in rows
            ],
        )
        + "\n\nA request that is known before training needs one vector there, too."
    )


def _size(count: float) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if count >= 2**power:
            return f"{count / 2**power:,.1f} {unit}"
    return f"{count / 2**10:,.0f} KiB"


def _value(row: Mapping[str, Any], key: str) -> float:
    found = {f["name"]: f["value"] for f in row["findings"]} | dict(row)
    value = found.get(key)
    return float("nan") if value is None else float(value)


def _mean(rows: list[dict[str, Any]], key: str) -> str:
    values = [value for row in rows if not np.isnan(value := _value(row, key))]
    if not values:
        return "–"
    mean = float(np.mean(values))
    near = len(values) > 1 and abs(mean) < FAR
    return _said(mean) + (f" ± {number(float(np.ptp(values)) / 2, 2)}" if near else "")


def _said(value: float) -> str:
    if abs(value) >= FAR:
        return "≫ 100" if value > 0 else "≪ −100"
    return number(value, 2)


def main() -> None:
    (path,) = (HERE / "results").glob("claims-*.json")
    PAGE.write_text(page(json.loads(path.read_text()), path.with_suffix(".md").read_text()))


if __name__ == "__main__":
    main()
