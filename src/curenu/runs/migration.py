"""Run folders of format 1, whose ledger was lines of JSON that nothing bound together."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curenu.errors import RunBroken
from curenu.networks import Fingerprint, fingerprint
from curenu.runs.evidence import Entry, Head, Measures, Subjects, entry_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.founding import first_entry
from curenu.runs.ledger import RESTORE
from curenu.runs.records import FORMAT, RunDescription
from curenu.runs.task_source import built_in, place_of, task_of
from curenu.status import Status
from curenu.tasks import Task

__all__ = ["migrate"]

_OLD = "requests.jsonl"
_TAKEN = "requests.v1.jsonl"
_NOTE = (
    "Taken over from format 1, which bound no record to the one before; the fingerprint is that "
    "of the problem when it was taken over."
)
_UNKNOWN = Fingerprint(*[""] * len(fields(Fingerprint)))


def migrate(folder: str | Path, task: Task | str | None = None, *, trust: bool = False) -> Head:
    """Make the run in `folder` one of this format; its head. Killed, it can be made again.

    Format 1 looked at few of the examples, so the task is loaded for its fingerprint: by what
    the run names, or `task`, as `Session.open` does. Weights stay where they are; the old
    ledger is kept as `requests.v1.jsonl` and names people.

    Raises `RunBroken` for a folder of another format or a ledger that is no chain.
    """
    place = Path(folder)
    description, requests = _read(place)
    if isinstance(task, Task):
        found = fingerprint(task, built_in(description))
    else:
        loaded = task_of(description, place, named=task, trust=trust)
        found = fingerprint(loaded, place_of(description, place, task))
    description = description.model_copy(update={"fingerprint": found})
    entries = [first_entry(description)]
    for content in requests:
        last = entries[-1].line
        entries.append(_entry(Head(last.number, last.hash), content, found.digest))
    store = FolderStore(place)
    with store.exclusive():
        store.adopt(description, entries)
        (place / _OLD).replace(place / _TAKEN)
    last = entries[-1].line
    return Head(last.number, last.hash)


def _read(place: Path) -> tuple[RunDescription, list[dict[str, Any]]]:
    try:
        content = tomllib.loads((place / "task.toml").read_text(encoding="utf-8"))
        found = content.get("format")
        lines = (place / _OLD).read_text(encoding="utf-8").splitlines() if found == 1 else []
        requests = [json.loads(line) for line in lines]
        if found != 1:
            raise RunBroken(f"{place} has format {found!r}, not 1.", "opening it as it is.")
        content.pop("data", None)
        description = RunDescription.model_validate(
            content | {"format": FORMAT, "fingerprint": _UNKNOWN}
        )
    except OSError as error:
        raise RunBroken(
            f"{place} is no run folder of format 1: {error.filename}: {error.strerror}.",
            "a folder that an earlier version made.",
        ) from error
    except (ValueError, ValidationError) as error:
        raise RunBroken(f"{place} is no run folder of format 1: {error}.", RESTORE) from error
    current = description.start
    for number, request in enumerate(requests, start=1):
        if request.get("number") != number or request.get("before") != current:
            raise RunBroken(f"{place / _OLD}, line {number}: it does not follow.", RESTORE)
        current = request["after"]
    return description, requests


def _entry(head: Head, content: dict[str, Any], fingerprint: str) -> Entry:
    status = Status[content["status"]]
    told = {
        name: content[name]
        for name in ("arguments", "cost", "certificate", "trace", "anchor", "penalty",
                     "penalty_before", "drift")
        if name in content
    }  # fmt: skip
    measures = Measures.model_validate(told | {"notes": [*content.get("notes", []), _NOTE]})
    whole = content["method"] == "retrain" and content.get("only") is None
    return entry_of(
        head,
        measures,
        Subjects(
            request=content["request"],
            ids=tuple(content["ids"]),
            positions=tuple(content["positions"]),
        ),
        kind="request",
        time=content["time"],
        before=content["before"],
        after=content["after"],
        method=content["method"],
        only=content.get("only"),
        seed=content["seed"],
        status=status,
        granted=True,
        accepted=not status.ok,
        retrained=whole,
        update_norm=content["update_norm"],
        seconds=content["cost"]["seconds"],
        fingerprint=fingerprint,
        curenu="before 0.1",
        torch="unknown",
    )
