"""`curenu log`: what was done to a run, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curenu.cli.console import print_json, say, say_table
from curenu.cli.run_option import RunArgument

if TYPE_CHECKING:
    from curenu.runs.evidence import RequestRecord

__all__ = ["log"]


def log(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Show every record of a run: requests granted and failed, retrainings, disposals.

    The run's task is not loaded and none of its code is run. Example: curenu log run
    """
    from curenu.runs.folder_store import FolderStore
    from curenu.runs.verify import read_log

    head, records = read_log(FolderStore(run))
    if as_json:
        print_json(
            {
                "head": head.hash,
                "records": [record.model_dump(mode="json") for record in records],
            }
        )
        return
    headings = ["record", "when (UTC)", "what", "request", "examples", "method", "weights", ""]
    rows = [
        [
            str(record.number),
            f"{record.time:%Y-%m-%d %H:%M:%S}",
            _what(record),
            "(deleted)" if record.commitment and record.request is None else record.request or "",
            str(record.count),
            record.method,
            record.after[:12],
            _remark(record),
        ]
        for record in records
    ]
    say_table(headings, rows)
    say(f"Record {head.number}, head {head.hash}")


def _what(record: RequestRecord) -> str:
    if record.kind == "request":
        return "erased" if record.granted else "failed attempt"
    if record.method == "adopt":
        return "adopted"
    return {"trained": "trained", "retrain": "retrained", "disposal": "disposed"}[record.kind]


def _remark(record: RequestRecord) -> str:
    if record.kind == "disposal":
        gone = [f"{len(record.disposed)} weights files"] if record.disposed else []
        gone += ["ids of the requests before"] if record.forgot else []
        return " and ".join(gone)
    if record.kind != "request" or record.status is None:
        return ""
    return record.status.name + (", accepted" if record.accepted else "")
