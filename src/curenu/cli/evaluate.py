"""`curenu evaluate`: how close a run's model is to retraining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curenu.cli.console import keeping, note, print_json, progress_bar, say, settle
from curenu.cli.files import check_place, write_text
from curenu.cli.run_option import RunArgument, TaskOption, TrustOption, opened

if TYPE_CHECKING:
    from curenu.compare import Assessment
    from curenu.runs.session import Session

__all__ = ["evaluate"]


def evaluate(
    run: RunArgument,
    oracles: Annotated[int, typer.Option(help="Models to retrain, kept for the next time.")] = 2,
    html: Annotated[
        Path | None, typer.Option(help="Where the report goes; report.html in the run if not said.")
    ] = None,
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Compare a run's current model with models that never saw what was erased.

    Closeness, membership attacks, and what an auditor may conclude from them.

    Example: curenu evaluate run --oracles 3
    """
    from curenu.cli.table import print_comparison
    from curenu.compare import evaluate as compare_with_oracles
    from curenu.report import Report

    session = opened(run, task, trust)
    page_at = html or run / "report.html"
    check_place(page_at)
    with keeping(lambda: "oracles that were trained are kept, and the same command goes on there"):
        found = compare_with_oracles(session, oracles, progress_bar)
    results, facts = _told(session, found, oracles)
    page = Report(
        f"Erasing from {session.description.title}",
        facts,
        found.rows,
        conclusions=_sentences(found),
    ).html()
    write_text(run / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_text(page_at, page)
    settle()
    if as_json:
        print_json(results)
        return
    print_comparison(found.rows, facts["erased"])
    say("What may be concluded:")
    for sentence in _sentences(found):
        say(f"- {sentence}")
    note(f"report: {page_at}")


def _told(
    session: Session, found: Assessment, oracles: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """The results as JSON, and what the report says above its table."""
    from curenu.report import document

    described = session.description
    erased = len(session.erased)
    requests = sum(not record.retrained for record in session.records)
    context = {
        "task": described.title,
        "seed": described.seed,
        "requests": requests,
        "erased": erased,
        "oracles": oracles,
        "weights": session.current,
    }
    facts = {
        "task": f"{described.title}, {session.task.source}",
        "erased": f"{erased:,} of {described.examples:,} examples in {requests} requests",
        "oracles": str(oracles),
        "weights": session.current,
    }
    said = {"conclusions": list(found.conclusions), "missing": list(found.missing)}
    return document(found.rows, context) | said, facts


def _sentences(found: Assessment) -> tuple[str, ...]:
    """What does not apply, then what may be concluded."""
    return (*found.missing, *found.conclusions)
