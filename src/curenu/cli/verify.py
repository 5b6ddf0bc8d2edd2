"""`curenu verify`: whether a run folder is what it was, without running its task."""

from __future__ import annotations

from typing import Annotated

import typer

from curenu.cli.console import print_json, say
from curenu.cli.endings import BROKEN
from curenu.cli.run_option import RunArgument
from curenu.errors import BadRequest

__all__ = ["verify"]


def verify(
    run: RunArgument,
    head: Annotated[
        str | None,
        typer.Option(help="A head that was kept elsewhere: shows records that were cut."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Check every record, subject, weights file and kept oracle, and name what does not fit.

    Ends with 4 if anything does not. The run's task is not loaded and none of its code is run.
    Example: curenu verify run --head "$(cat head-of-the-last-release)"
    """
    from curenu.runs.folder_store import FolderStore
    from curenu.runs.ledger import NO_RECORD
    from curenu.runs.verify import verify as faults_of

    if head is not None and (len(head) != 64 or set(head) - set("0123456789abcdef")):
        raise BadRequest(f"{head!r} is no head.", "the 64 hexadecimal digits that were printed.")
    found, faults = faults_of(FolderStore(run), head=head)
    if as_json:
        print_json({"number": found.number, "head": found.hash, "faults": faults})
    else:
        for fault in faults:
            say(fault)
        if not faults:
            say(f"{found.number + 1} records, and everything fits.")
            if head is None:
                say(
                    "Without a head that was kept elsewhere (--head) records that were cut off "
                    "or a ledger written anew are not seen."
                )
        if found != NO_RECORD:
            say(f"Record {found.number}, head {found.hash}")
    if faults:
        raise typer.Exit(BROKEN)
