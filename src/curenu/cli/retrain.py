"""`curenu retrain`: the model anew, without everything that was erased."""

from __future__ import annotations

from typing import Annotated

import typer

from curenu.cli.console import print_json, progress_bar, say, settle
from curenu.cli.run_option import RunArgument, TaskOption, TrustOption, opened

__all__ = ["retrain"]


def retrain(
    run: RunArgument,
    without: Annotated[
        list[int] | None,
        typer.Option(help="Leave out the examples of this failed attempt too; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Derived from the run's if not given.")] = None,
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Train anew without what was erased; the result is the run's current model.

    Example: curenu retrain run --without 3
    """
    session = opened(run, task, trust)
    with progress_bar("retraining") as progress:
        result = session.retrain(seed=seed, without=without or (), progress=progress)
    settle()
    record = result.record
    if as_json:
        print_json(record.model_dump(mode="json") | {"head": result.head.hash})
        return
    say(
        f"Retrained on {len(session.retained)} examples in {record.seconds:.1f} s; "
        f"{len(session.erased)} are erased, {record.count} of them from now on; weights "
        f"{record.after[:12]}."
    )
    say(f"Record {result.head.number}, head {result.head.hash}")
