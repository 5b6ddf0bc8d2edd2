"""The pages of the sweep around the defaults and of sequences: one trained network, its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curenu.bench.summary import over_networks
from curenu.report import Figure, markdown_table, number
from results_page.source import Source
from results_page.task import closing, opening

__all__ = ["around", "rows_of", "sequences"]

COLUMNS = {
    "Rf": "Rf", "Rr": "Rr", "Rt": "Rt", "G acc": "G accuracy", "G loss": "G loss",
    "examples ÷": "examples ratio", "weighted ÷": "weighted ratio",
}  # fmt: skip
SPREAD = (
    "Figures are means over trained networks, the seeds of the method on one network averaged "
    "first; ± is half a 95 % interval over networks, and of one network there is none."
)
UNCOUNTED = "A dash under *weighted ÷*: the run was made before weighted examples were counted."
Rows = Sequence[Mapping[str, Any]]


def around(source: Source) -> str:
    """The sweep around the defaults: a table an erasure, the defaults' row bold."""
    results = source.results
    facts = (
        f"`benchmarks/quality/plateau.py` on {_setting(results)}: sample size, products, steps and "
        "penalty (as a share of the one that is best for a step alone) of `stocurenu`, one at a "
        "time, then together. Defaults of the run: "
        + ", ".join(f"{_words(key)} {value:g}" for key, value in results["defaults"].items())
        + f". {SPREAD}"
    )
    parts = [opening(source, "", facts), source.remarks]
    for erasure in dict.fromkeys(row["erasure"] for row in results["sweep"]):
        references = [row for row in results["rows"] if row["erasure"] == erasure]
        swept: dict[str, list[dict[str, Any]]] = {}
        for row in results["sweep"]:
            if row["erasure"] == erasure:
                swept.setdefault(_changed(row["point"], results["defaults"]), []).append(row)
        lines = [[row["name"], *_cells(results, [row])] for row in references]
        lines += [[point, *_cells(results, rows)] for point, rows in swept.items()]
        lines.append(["lowest to highest", *_ranges(results, list(swept.values()))])
        parts.append(f"**{erasure}**\n\n" + markdown_table(["changed", *COLUMNS], lines))
    return _joined(source, parts)


def sequences(source: Source) -> str:
    """Sequences beside the one-shot erasure of the same examples, with their difference."""
    results = source.results
    facts = (
        f"`benchmarks/quality/sequence.py` on {_setting(results)}: the examples of "
        f"*{results['context']['erasure']}* in several requests one after the other, and at once. "
        f"{SPREAD} In brackets is the mean difference from the erasure at once with the same seed. "
        "*Drift* is the divergence from the erasure at once over that one's from the first model; "
        "[Several requests](../sequences.md) explains it and the advice."
    )
    lines = [[row["name"], "", *_cells(results, [row]), "", ""] for row in results["rows"]]
    once = results["at once"]
    lines.append(["at once", "", *_cells(results, once), *_meter(results, once)])
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in results["sequences"]:
        found.setdefault((row["rounds"], row["anchor"]), []).append(row)
    for (rounds, anchor), rows in found.items():
        cells = [*_cells(results, rows), *_meter(results, rows)]
        lines.append([f"{rounds} requests", anchor, *cells])
    table = markdown_table(["", "anchor", *COLUMNS, "drift", "advice"], lines)
    return _joined(source, [opening(source, "", facts), source.remarks, table])


def rows_of(source: Source) -> list[tuple[str, Mapping[str, Any]]]:
    """Every row of either with its words, for the CSV."""
    results = source.results
    found = [(row["name"], row) for row in results["rows"]]
    if "sweep" in results:
        defaults = results["defaults"]
        swept = [(_changed(r["point"], defaults).strip("*"), r) for r in results["sweep"]]
        return found + swept
    found += [("at once", row) for row in results["at once"]]
    return found + [(f"{r['rounds']} requests, {r['anchor']}", r) for r in results["sequences"]]


def _joined(source: Source, parts: Sequence[str]) -> str:
    lacks = not any(row.get("weighted ratio") for _, row in rows_of(source))
    whole = [*parts, UNCOUNTED if lacks else "", closing(source)]
    return "\n\n".join(part.strip() for part in whole if part) + "\n"


def _setting(results: Mapping[str, Any]) -> str:
    said = results["context"]
    seeds, oracles, networks = (len(said[key]) for key in ("seeds", "oracles", "trained"))
    trained = "one trained network" if networks == 1 else f"{networks} trained networks"
    return (
        f"`{said['task']}` ({trained}, {oracles} oracles, seeds of the method: {seeds}; "
        f"curenu {results['curenu']}, torch {results['torch']})"
    )


def _changed(point: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    changed = [f"{_words(key)} {v:g}" for key, v in point.items() if v != defaults[key]]
    return ", ".join(changed) or "**defaults**"


def _words(key: str) -> str:
    return key.removeprefix("max_").replace("_", " ")


def _mean(results: Mapping[str, Any], rows: Rows, values: Sequence[float | None]) -> Figure | None:
    """Over the networks of the rows; a row that names none is of the run's first."""
    found: dict[int, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            network = row.get("trained", results["context"]["trained"][0])
            found.setdefault(network, []).append(float(value))
    return over_networks(found) if found else None


def _value(row: Mapping[str, Any], figure: str) -> float | None:
    found = {f["name"]: f["value"] for f in row["findings"]} | dict(row)
    return found.get(figure)


def _text(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    half = f" ± {figure.half:.2f}" if figure.interval else ""
    return number(figure.mean, 2) + half


def _cells(results: Mapping[str, Any], rows: Rows) -> list[str]:
    """Mean and interval, and the mean difference from the erasure at once if there is one."""
    cells = []
    for figure in COLUMNS.values():
        text = _text(_mean(results, rows, [_value(row, figure) for row in rows]))
        apart = _mean(results, rows, [row.get("difference", {}).get(figure) for row in rows])
        cells.append(text + (f" ({round(apart.mean, 2) + 0.0:+.2f})" if apart else ""))
    return cells


def _ranges(results: Mapping[str, Any], points: Sequence[Rows]) -> list[str]:
    """The lowest and the highest mean of any point."""
    cells = []
    for figure in COLUMNS.values():
        found = [_mean(results, rows, [_value(row, figure) for row in rows]) for rows in points]
        means = [mean.mean for mean in found if mean is not None]
        cells.append(f"{number(min(means), 2)} to {number(max(means), 2)}" if means else "–")
    return cells


def _meter(results: Mapping[str, Any], rows: Rows) -> list[str]:
    """Drift and advice after the last request."""
    last = [row["requests"][-1]["drift"] for row in rows]
    advice = sorted({word for drift in last for word in drift["advice"]})
    shares = _mean(results, rows, [_share(drift["check"]) for drift in last])
    return ["–" if shares is None else number(shares.mean, 2), ", ".join(advice) or "–"]


def _share(check: Mapping[str, Any] | None) -> float | None:
    if not check or check["divergence"] is None or not check["first_divergence"]:
        return None
    return check["divergence"] / check["first_divergence"]
