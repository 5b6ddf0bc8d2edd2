"""`curenu show`: what a run is, read from its folder alone; no code that it names is run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curenu.cli.console import print_json, say
from curenu.cli.run_option import RunArgument

if TYPE_CHECKING:
    from curenu.runs.evidence import RequestRecord
    from curenu.runs.records import RunDescription

__all__ = ["show"]

_LATEST = 5  # requests that are shown one by one


def show(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Say what a run is: its task, its current weights, its requests, and what can be done next.

    Example: curenu show run
    """
    from curenu.runs.folder_store import FolderStore
    from curenu.runs.verify import read_log

    store = FolderStore(run)
    described, (_, log) = store.description(), read_log(store)
    found = _found(run, described, log)
    if as_json:
        print_json(found)
        return
    say("\n".join(_lines(found)))


def _found(run: Path, described: RunDescription, log: tuple[RequestRecord, ...]) -> dict[str, Any]:
    records = tuple(record for record in log if record.granted and record.number)
    erased = sum(record.count for record in records)
    place = shlex.quote(str(run))
    following = [f"curenu unlearn {place} --ids ID"]
    if records:
        following.append(f"curenu evaluate {place}")
    return {
        "run": str(run),
        "task": described.title,
        "source": described.task,
        "seed": described.seed,
        "created": described.created.isoformat(),
        "examples": described.examples,
        "erased": erased,
        "weights": log[-1].after,
        "adopted": log[0].method == "adopt",
        "requests": [
            {
                "number": record.number,
                "request": record.request,
                "erased": record.count,
                "method": record.method,
                "status": record.outcome.name,
                "retrained": record.retrained,
                "time": record.time.isoformat(),
            }
            for record in records
        ],
        "next": following,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    where = "" if found["source"] in (None, found["task"]) else f" ({found['source']})"
    requests = found["requests"]
    asked = sum(not _is_retraining(r) for r in requests)
    many = f"{asked} granted" if asked else "no request yet"
    came = "trained elsewhere, adopted" if found["adopted"] else "trained"
    lines = [
        f"Task: {found['task']}{where}, seed {found['seed']}, {came} {found['created'][:10]}",
        f"Examples: {found['examples']:,}, of which {found['erased']:,} erased",
        f"Weights: {found['weights'][:12]}",
        f"Requests: {many}" + (", the latest:" if len(requests) > _LATEST else ""),
    ]
    lines += [f"  {r['number']}. {_said(r)}, {r['time'][:10]}" for r in requests[-_LATEST:]]
    return [*lines, "Next: " + ", or ".join(found["next"])]


def _is_retraining(request: dict[str, Any]) -> bool:
    """Whether the model was trained anew without that anybody was asked for by a name."""
    return request["retrained"] and request["request"] is None


def _said(request: dict[str, Any]) -> str:
    if _is_retraining(request):
        more = f" and {request['erased']:,} more examples" if request["erased"] else ""
        return f"trained anew without what was erased{more}"
    who = "a request whose subjects were deleted"
    if request["request"] is not None:
        who = repr(request["request"])
    return f"{who}: {request['erased']:,} by {request['method']}, {request['status']}"
