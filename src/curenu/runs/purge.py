"""What may go: weights that saw what was erased, and whom the requests were about."""

from __future__ import annotations

import json

from curenu.runs.evidence import Disposal, Subjects
from curenu.runs.records import Keep
from curenu.runs.run import Run

__all__ = ["forgetting", "to_dispose"]


def to_dispose(run: Run, keep: Keep) -> tuple[Disposal, ...]:
    """The weights and oracles that `keep` does not keep, of those that are still there."""
    if keep == "all":
        return ()
    ledger = run.ledger
    staying = {ledger.current}
    if keep == "base":
        staying |= {ledger.base, *(passed.weights for passed in run.passed)}
    others = set(run.networks.of_others(run.retained))
    gone = []
    for held in run.store.holdings():
        stays = held.name in staying if held.kind == "weights" else held.name not in others
        if not held.disposed and not stays:
            gone.append(Disposal(kind=held.kind, name=held.name))
    return tuple(gone)


def forgetting(run: Run) -> tuple[Subjects | None, tuple[int, ...]]:
    """All erased positions as one set, and the records whose subjects it stands in for.

    Failed attempts whose examples are still retained keep theirs: they are owed an answer.
    """
    erased = run.ledger.erased
    numbers = []
    for line in run.store.lines():
        if line.subjects is None:
            continue
        granted = json.loads(line.body)["granted"]
        positions = json.loads(line.subjects)["positions"]
        if granted or json.loads(line.body)["forgot"] or erased.issuperset(positions):
            numbers.append(line.number)
    named = any(json.loads(line.subjects or "{}").get("ids") for line in run.store.lines())
    if not numbers or not named:
        return None, ()
    return Subjects(positions=tuple(sorted(erased))), tuple(numbers)
