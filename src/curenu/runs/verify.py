"""Everything that does not fit in a run, named; its task is not needed and not run."""

from __future__ import annotations

from pydantic import ValidationError

from curenu.errors import CurenuError, RunBroken
from curenu.runs.evidence import Evidence, Head, Line, Measures, RequestRecord, record_of
from curenu.runs.ledger import NO_RECORD, RESTORE, Ledger, complaints
from curenu.runs.reading import take
from curenu.runs.records import canonical, digest
from curenu.runs.store import RunStore

__all__ = ["read_log", "verify"]


def verify(store: RunStore, *, head: str | None = None) -> tuple[Head, list[str]]:
    """The run's head, and a sentence for every fault that is found; none in a whole run.

    `head` is one that was kept elsewhere: without it a ledger whose last records were cut, or
    that was written anew from some record on, is not told from a whole one.
    """
    faults: list[str] = []
    try:
        description = store.description()
        lines, measures = store.lines(), store.measures()
    except CurenuError as error:
        return NO_RECORD, [error.problem]
    ledger = Ledger()
    seen: list[str] = []
    for line in lines:
        found = [*complaints(ledger, line), *_about_measures(line, measures)]
        faults += found
        seen.append(digest(line.body.encode()))
        if not _added(ledger, line):
            return ledger.head, [*faults, f"What follows record {line.number} was not looked at."]
    if not lines:
        faults.append("The ledger has no record.")
    if ledger.missing > ledger.forgot:
        faults.append(f"The subjects of record {ledger.missing} are missing.")
    if len(ledger.erased) != ledger.expected:
        faults.append(
            f"{len(ledger.erased)} positions are erased, and the evidence counts {ledger.expected}."
        )
    faults += [f"There are measures of record {n}, and no such record." for n in
               sorted(measures.keys() - {line.number for line in lines})]  # fmt: skip
    told = Measures.model_validate_json(measures[0]).description if 0 in measures else None
    if told != digest(canonical(description).encode()):
        faults.append("The run's description is not that of its first record.")
    if ledger.current not in {held.name for held in store.holdings() if not held.disposed}:
        faults.append(f"The current weights {ledger.current[:12]} are not kept.")
    faults += store.faults()
    if head is not None and head not in seen:
        faults.append(
            f"The head {head[:12]} is not in this ledger: records were cut, or written anew."
        )
    return ledger.head, faults


def read_log(store: RunStore) -> tuple[Head, tuple[RequestRecord, ...]]:
    """The run's head and every record, checked to be one chain; its task is not needed."""
    store.description()
    lines, measures = store.lines(), store.measures()
    ledger = Ledger()
    take(ledger, lines)
    for line in lines:
        for complaint in _about_measures(line, measures):
            raise RunBroken(complaint, RESTORE)
    return ledger.head, tuple(record_of(line, measures[line.number]) for line in lines)


def _about_measures(line: Line, measures: dict[int, str]) -> list[str]:
    what, text = f"Record {line.number}", measures.get(line.number)
    try:
        evidence = Evidence.model_validate_json(line.body)
    except ValidationError as error:
        return [f"{what} has fields that it cannot have: {error.errors()[0]['msg']}."]
    if text is None:
        return [f"{what} has no measures."]
    if digest(text.encode()) != evidence.measures:
        return [f"{what}: its measures were changed."]
    return []


def _added(ledger: Ledger, line: Line) -> bool:
    try:
        ledger.add(line)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True
