"""`curenu evaluate`: how close a run's model is to retraining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import note, print_json, progress_bar
from curenu.cli.files import check_place, write_text
from curenu.cli.table import print_comparison
from curenu.evaluation import evaluate as compare_with_oracles
from curenu.report import Report, document
from curenu.runs.session import Session

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    oracles: Annotated[int, typer.Option(help="Models to retrain, kept for the next time.")] = 2,
    html: Annotated[
        Path | None, typer.Option(help="Where the report goes; report.html in the run if not said.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Compare a run's current model with models that never saw what was erased.

    Example: curenu evaluate run --oracles 3
    """
    session = Session.open(run)
    page_at = html or run / "report.html"
    check_place(page_at)
    rows = compare_with_oracles(session, oracles, progress_bar)
    described = session.description
    results = document(
        rows,
        {
            "task": described.title,
            "seed": described.seed,
            "requests": len(session.records),
            "erased": len(session.erased),
            "oracles": oracles,
            "weights": session.current,
        },
    )
    facts = {
        "task": f"{described.title}, {session.task.source}",
        "erased": f"{len(session.erased):,} of {described.examples:,} examples in "
        f"{len(session.records)} requests",
        "oracles": str(oracles),
        "weights": session.current,
    }
    page = Report(f"Erasing from {described.title}", facts, tuple(rows)).html()
    write_text(run / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_text(page_at, page)
    if as_json:
        print_json(results)
        return
    print_comparison(rows, facts["erased"])
    note(f"report: {page_at}")
