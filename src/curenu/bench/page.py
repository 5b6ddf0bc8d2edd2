"""The comparison as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curenu.bench.cell import NOTHING, ORACLE
from curenu.bench.plots import (
    cost_plot,
    degeneracy_plot,
    drift_plot,
    relearning_plot,
    roc_plot,
    trade_off_plot,
)
from curenu.bench.summary import Line, lines_of
from curenu.bench.tables import (
    BRIEF,
    FURTHER,
    LEGEND,
    erased,
    marked,
    missing,
    published,
    shown,
)
from curenu.report import Column, number, render

__all__ = ["page"]


def page(results: dict[str, Any]) -> str:
    """HTML with every table and plot inside, made from the results alone."""
    lines = lines_of(results)
    columns = shown(lines)
    return render(
        "bench.html",
        title=results["config"]["title"],
        results=results,
        sections=[_section(results, lines, name) for name in results["requests"]],
        columns=columns,
        references=(NOTHING, ORACLE),
        legend=LEGEND,
        degeneracy=results["degeneracy"] or {},
        degeneracy_plot=degeneracy_plot(results["degeneracy"]),
        number=number,
    )


def _section(results: dict[str, Any], lines: Sequence[Line], name: str) -> dict[str, Any]:
    rows = [line for line in lines if line.erasure == name]
    cells = [cell for cell in results["cells"] if cell["erasure"] == name]
    retraining = [c["retraining seconds"] for c in cells if "retraining seconds" in c]
    return {
        "name": name,
        "erased": erased(results, name),
        "brief": _table(rows, BRIEF),
        "further": _table(rows, FURTHER),
        "failed": [(line.method, reason) for line in rows for reason in dict.fromkeys(line.failed)],
        "missing": missing(results, name),
        "retraining": number(retraining[0], 2) if retraining else None,
        "published": published(results, name, rows),
        "plots": [(title, words, plot) for title, words, plot in _plots(rows, cells) if plot],
        "tuning": [t for t in results["tuning"] if t["erasure"] == name],
    }


def _table(rows: Sequence[Line], of: Sequence[Column]) -> dict[str, Any]:
    columns = shown(rows, of)
    return {"columns": columns, "rows": list(zip(rows, marked(rows, columns), strict=True))}


def _plots(
    rows: Sequence[Line], cells: Sequence[dict[str, Any]]
) -> list[tuple[str, str, str | None]]:
    return [
        ("Forget against retain", "Dotted: as close as two retrainings are to each other. Left "
         "and down is better.", trade_off_plot(rows)),
        ("Divergence against cost", "Left and down is better; the oracle is what everyone pays "
         "who retrains.", cost_plot(rows)),
        ("Membership attack (RMIA)", "On the dotted line the attack guesses. The oracle never saw "
         "the examples: its curve is the aim.", roc_plot(cells)),
        ("Relearning from retained examples", "Forget accuracy while training goes on without "
         "the erased examples; the oracle's curve is the aim.", relearning_plot(cells, 0)),
        ("Relearning from a few forgotten examples", "A model that only hides what it knows comes "
         "back faster than the oracle.", relearning_plot(cells, 1)),
        ("Round by round", "Rf after every request; the open mark is the same erasure made at "
         "once.", drift_plot(cells)),
    ]  # fmt: skip
