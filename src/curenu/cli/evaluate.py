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
    from curenu.report import Asked, Report
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

    session = opened(run, task, trust)
    page_at = html or run / "report.html"
    check_place(page_at)
    with keeping(lambda: "oracles that were trained are kept, and the same command goes on there"):
        found = compare_with_oracles(session, oracles, progress_bar)
    made = _report(session, found, oracles)
    verdict = made.sections[0].verdict
    sentence = "" if verdict is None else verdict.sentence
    results = _told(session, found, oracles) | {"verdict": sentence}
    write_text(run / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_text(page_at, made.html())
    settle()
    if as_json:
        print_json(results)
        return
    print_comparison(found.rows, _erased(session))
    say(sentence)
    say("What may be concluded:")
    for line in (*found.missing, *found.conclusions):
        say(f"- {line}")
    note(f"report: {page_at}")


def _told(session: Session, found: Assessment, oracles: int) -> dict[str, Any]:
    """The results as JSON."""
    from curenu.bench.origin import origin
    from curenu.report import document

    context = {
        "task": session.description.title,
        "seed": session.description.seed,
        "requests": _asked(session),
        "erased": len(session.erased),
        "oracles": oracles,
        "weights": session.current,
        "fingerprint": session.fingerprint.digest,
        "head": session.head._asdict(),
        **origin(),
    }
    said = {"conclusions": list(found.conclusions), "missing": list(found.missing)}
    return document(found.rows, context) | said


def _report(session: Session, found: Assessment, oracles: int) -> Report:
    """The report: one section, the current model beside the oracles."""
    from curenu.report import Plot, Report, Section, damping_plot

    own = found.rows[-1]
    drawing = damping_plot([own])
    words = "The cubic term chose it at every step; nobody set it."
    section = Section(
        "The current model beside retraining",
        f"Erased: {_erased(session)}.",
        tuple(row.model() for row in found.rows),
        own.name,
        notes=found.missing,
        conclusions=found.conclusions,
        plots=(Plot("Damping at each step", words, drawing),) if drawing else (),
    )
    title = f"Erasing from {session.description.title}"
    about = f"{session.description.title}: {session.task.source}."
    return Report(title, about, (section,), _requests(session), _provenance(session, oracles))


def _asked(session: Session) -> int:
    """Requests granted, without retrainings."""
    return sum(not record.retrained for record in session.records)


def _erased(session: Session) -> str:
    requests = _asked(session)
    many = "request" if requests == 1 else "requests"
    of = f"{len(session.erased):,} of {session.description.examples:,} examples"
    return f"{of} in {requests} {many}"


def _requests(session: Session) -> tuple[Asked, ...]:
    """Every request and retraining on record, those that were not granted too."""
    from curenu.report import Asked

    return tuple(
        Asked(
            "(its subjects were deleted)" if record.request is None else record.request or "(none)",
            f"{record.count:,}",
            "retraining" if record.retrained else record.method,
            f"{'granted' if record.granted else 'not granted'}: "
            + record.outcome.name.lower().replace("_", " "),
            record.time.date().isoformat(),
        )
        for record in session.log
        if record.kind in ("request", "retrain")
    )


def _provenance(session: Session, oracles: int) -> dict[str, str]:
    """When, where and from what the figures were made."""
    import os
    import platform

    import torch

    import curenu
    from curenu.bench.origin import origin

    made, head = origin(), session.head
    versions = f"curenu {curenu.__version__}, torch {torch.__version__}"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    found = {
        "made on": made["date"],
        "versions": f"{versions}, Python {platform.python_version()}",
        "commit": made["commit"],
        "machine": f"{platform.system()} {platform.machine()}, {device}, {os.cpu_count()} cores, "
        f"threads: {torch.get_num_threads()}",
        "data and task": f"fingerprint {session.fingerprint.digest}",
        "head of the ledger": f"record {head.number}, {head.hash}",
        "weights": session.current,
        "seed": str(session.description.seed),
        "oracles": f"{oracles}, retrained without what was erased",
    }
    return {name: fact for name, fact in found.items() if fact}
