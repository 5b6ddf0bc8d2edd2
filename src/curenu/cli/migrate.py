"""`curenu migrate`: a run folder of an older format, made one of this."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import print_json, say, settle
from curenu.cli.run_option import TaskOption, TrustOption

__all__ = ["migrate"]


def migrate(
    run: Annotated[Path, typer.Argument(help="The run folder, of format 1.")],
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Take over a run folder of format 1: its ledger as it is, from now on chained by hash.

    Example: curenu migrate run
    """
    from curenu.runs.migration import migrate as take_over

    head = take_over(run, task, trust=trust)
    settle()
    if as_json:
        print_json({"number": head.number, "head": head.hash})
        return
    say(f"{run} is of format 2 now; its old ledger is in requests.v1.jsonl.")
    say(f"Record {head.number}, head {head.hash}")
