"""`curenu purge`: models that saw erased people, and whom requests were about, go."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from curenu.cli.console import print_json, say, settle
from curenu.cli.run_option import RunArgument, TaskOption, TrustOption, opened

__all__ = ["KeepWeights", "purge"]


class KeepWeights(StrEnum):
    """Which weights of a run stay."""

    ALL = "all"
    BASE = "base"
    CURRENT = "current"


def purge(
    run: RunArgument,
    keep: Annotated[
        KeepWeights,
        typer.Option(help="current; base: also those last trained; all: every weights file."),
    ] = KeepWeights.CURRENT,
    subjects: Annotated[
        bool, typer.Option("--subjects", help="Also delete ids, names and salts of requests.")
    ] = False,
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Remove weights and oracles that saw what was erased, and put on record which went.

    Example: curenu purge run --keep base
    """
    session = opened(run, task, trust)
    record = session.purge(keep.value, subjects=subjects)
    settle()
    head = session.head
    if as_json:
        gone = [] if record is None else [d.model_dump(mode="json") for d in record.disposed]
        forgot = record is not None and record.forgot
        print_json({"disposed": gone, "subjects": forgot, "number": head.number, "head": head.hash})
        return
    if record is None:
        say("There was nothing to remove.")
    else:
        for disposal in record.disposed:
            say(f"removed {disposal.kind} {disposal.name[:12]}")
        if record.forgot:
            say("removed the ids, names and salts of all requests granted so far")
    say(f"Record {head.number}, head {head.hash}")
