"""A benchmark's results as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curenu.bench.plots import (
    cost_plot,
    degeneracy_plot,
    drift_plot,
    relearning_plot,
    roc_plot,
    trade_off_plot,
)
from curenu.bench.summary import Line, lines_of
from curenu.bench.tables import edged, erased, missing, published
from curenu.report import Asked, Plot, Report, Section, Table, number

__all__ = ["page", "report_of"]


def page(results: dict[str, Any], featured: str | None = None) -> str:
    """HTML made from the results alone; see `report_of`."""
    return report_of(results, featured).html()


def report_of(results: dict[str, Any], featured: str | None = None) -> Report:
    """The report: a section an erasure; the method `featured` has its verdict before the others."""
    lines = lines_of(results)
    sections = [_section(results, lines, name, featured) for name in results["requests"]]
    if results["degeneracy"]:
        sections.append(_degeneracy(results["degeneracy"]))
    return Report(
        results["config"]["title"],
        results["config"]["about"],
        tuple(sections),
        tuple(_asked(results, name) for name in results["requests"]),
        _provenance(results),
    )


def _section(
    results: dict[str, Any], lines: Sequence[Line], name: str, featured: str | None
) -> Section:
    rows = [line for line in lines if line.erasure == name]
    cells = [cell for cell in results["cells"] if cell["erasure"] == name]
    retraining = next((c["retraining seconds"] for c in cells if "retraining seconds" in c), None)
    took = "" if retraining is None else f" Retraining takes {number(retraining, 2)} s."
    return Section(
        name,
        f"Erased: {erased(results, name)}{took}",
        tuple(line.model() for line in rows),
        featured,
        notes=(
            *(f"Not trained: {reason}" for reason in results["untrained"]),
            *(f"Not audited: {reason}" for reason in missing(results, name)),
        ),
        plots=_plots(rows, cells),
        tables=tuple(table for table in (_published(results, name, rows), _tuning(results, name))
                     if table.rows),
    )  # fmt: skip


def _plots(rows: Sequence[Line], cells: Sequence[dict[str, Any]]) -> tuple[Plot, ...]:
    drawn = (
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
    )  # fmt: skip
    return tuple(Plot(title, words, svg) for title, words, svg in drawn if svg)


def _published(results: dict[str, Any], name: str, rows: Sequence[Line]) -> Table:
    found = tuple(map(tuple, published(results, name, rows)))
    headings = ("the paper", "its figure", "ours", "its setting")
    return Table("The paper's figures beside these", headings, found, open_=True)


def _tuning(results: dict[str, Any], name: str) -> Table:
    edges = edged(results, name)
    rows = tuple(
        (
            t["method"],
            _pairs(t["arguments"]),
            str(len(t["trials"])),
            _spent(t["trials"]),
            "yes" if t["method"] in edges else "no",
        )
        for t in results["tuning"]
        if t["erasure"] == name
    )
    heads = (
        "method",
        "arguments",
        "grid points tried",
        "weighted examples",
        "at an edge of its grid",
    )
    return Table("What tuning chose", heads, rows)


def _spent(trials: Sequence[dict[str, Any]]) -> str:
    """What the trials took together; a dash where one did not count it, as where it failed."""
    counts = [int(trial["weighted"]) for trial in trials if "weighted" in trial]
    return f"{sum(counts):,}" if len(counts) == len(trials) else "–"


def _degeneracy(found: dict[str, Any]) -> Section:
    """How much of the curvature is zero or negative, and what a Newton step makes of it."""
    drawing = degeneracy_plot(found)
    words = ""
    if "moments" in found:
        words = (f"Hessian of {found['examples']} retained examples, {found['parameters']:,} "
                 "parameters, along one training.")  # fmt: skip
    norms = tuple((name, number(norm)) for name, norm in found.get("norms", {}).items())
    title = "Length of one Newton step, by what keeps it in check"
    tables = (Table(title, ("step", "length"), norms, open_=True),) if norms else ()
    plots = (Plot("Zero or negative eigenvalues", words, drawing),) if drawing else ()
    notes = (f"It failed: {found['failed']}",) if "failed" in found else ()
    return Section(
        "How degenerate the curvature is", words, notes=notes, plots=plots, tables=tables
    )


def _asked(results: dict[str, Any], name: str) -> Asked:
    own = [cell for cell in results["cells"] if cell["erasure"] == name]
    failed = sum("failed" in cell for cell in own)
    status = f"{len(own)} models audited" if not failed else f"{failed} of {len(own)} models failed"
    size = results["requests"][name]
    return Asked(name, f"{size['erased']:,} of {size['of']:,} examples", status=status)


def _provenance(results: dict[str, Any]) -> dict[str, str]:
    config = results["config"]
    options = config["task"]["options"]
    tuning, points = config["tuning_budget"], "points" if config["tuning_budget"] > 1 else "point"
    versions = f"curenu {results['curenu']}, torch {results['torch']}, Python {results['python']}"
    jobs = "job" if results["jobs"] == 1 else "jobs"
    prints = results.get("fingerprints", {})
    same = len(set(prints.values())) == 1
    found = {
        "made on": results.get("date"),
        "versions": versions,
        "commit": results.get("commit"),
        "machine": f"{results['device']}, {results['cores']} cores, {results['jobs']} {jobs}",
        "task": config["task"]["name"] + (f" ({_pairs(options)})" if options else ""),
        "data": next(iter(prints.values())) if same else "; ".join(
            f"{name}: {print_}" for name, print_ in prints.items()
        ),
        "trained networks": f"seeds {_listed(config['trained'])}",
        "oracles": f"seeds {_listed(config['oracles'])}, for every request",
        "tuning": f"at most {tuning} grid {points} for every method alike, on another request "
                  "of the same kind" + _extended(config),
    }  # fmt: skip
    return {name: fact for name, fact in found.items() if fact}


def _extended(config: dict[str, Any]) -> str:
    times = config.get("tuning_extensions", 0)
    return f"; beyond an edge of a grid at most {times} times" if times else ""


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
