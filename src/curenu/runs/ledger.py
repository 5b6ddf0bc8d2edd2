"""What the records of a run add up to, each checked to follow from the one before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curenu.errors import RunBroken
from curenu.runs.evidence import NOTHING_BEFORE, Head, Line, commitment_of
from curenu.runs.records import digest
from curenu.status import Status

__all__ = ["NO_RECORD", "OK", "RESTORE", "Ledger", "Names", "Since", "complaints"]

RESTORE = "restoring the run from a copy; `curenu verify` lists everything that does not fit."

NO_RECORD = Head(-1, NOTHING_BEFORE)
"""The head of a ledger without a record."""

Names = Callable[[int], int | str]
"""The task's id of a position."""

_NONE = json.dumps(None)
OK = {status.name for status in Status if status.ok}
"""Names of the statuses of results that may be granted."""


@dataclass(frozen=True)
class Since:
    """What was granted since the model was last trained, in sums.

    `stuck` counts the requests that ended without a step, failed attempts among them; `only`
    holds the choices of parameters that were moved, as JSON.
    """

    requests: int = 0
    stuck: int = 0
    seconds: float = 0.0
    path: float = 0.0
    only: frozenset[str] = frozenset()

    def plus(self, content: Mapping[str, Any]) -> Since:
        """With one more granted request, as the fields of its evidence."""
        return Since(
            self.requests + 1,
            self.stuck + (content["status"] == Status.NO_GAIN.name),
            self.seconds + content["seconds"],
            self.path + content["update_norm"],
            self.only | {json.dumps(content["only"])},
        )


@dataclass
class Ledger:
    """The state of a run after the records it has taken.

    `current` and `base` name the weights now and those last trained (by record `base_number`,
    in `base_seconds`). `erased` are the positions that left the retain set, `erased_since`
    those since `base` (None when that is no longer known). `granted` and `tried` give the
    record that granted a request of that name, and the first that tried to; `last` is the
    last request that was granted; `sums` and `choices` are what `since` is of. `expected`
    examples are erased by the evidence, `missing` is the last record without its subjects.
    """

    head: Head = NO_RECORD
    current: str = NOTHING_BEFORE
    base: str = NOTHING_BEFORE
    base_number: int = 0
    base_seconds: float = 0.0
    first: str = NOTHING_BEFORE
    examples: int = 0
    forgot: int = -1
    erased: set[int] = field(default_factory=set)
    erased_since: set[int] | None = field(default_factory=set)
    granted: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    last: int = -1
    expected: int = 0
    missing: int = -1
    sums: list[float] = field(default_factory=lambda: [0, 0, 0.0, 0.0])
    choices: set[str] = field(default_factory=set)

    @property
    def since(self) -> Since:
        """What was granted since `base`, in sums."""
        requests, stuck, seconds, path = self.sums
        return Since(int(requests), int(stuck), seconds, path, frozenset(self.choices))

    def check_whole(self) -> None:
        """Raise `RunBroken` unless the subjects are all there that were not deleted."""
        if self.missing > self.forgot:
            raise RunBroken(f"The subjects of record {self.missing} are missing.", RESTORE)
        if len(self.erased) != self.expected:
            raise RunBroken(
                f"{len(self.erased)} positions are erased, and the evidence counts "
                f"{self.expected}.",
                RESTORE,
            )

    def add(self, line: Line) -> None:
        """Add a record that has been checked."""
        about = None if line.subjects is None else json.loads(line.subjects)
        content = json.loads(line.body)
        kind, number = content["kind"], line.number
        self.head = Head(number, line.hash)
        self.current = content["after"]
        positions = about["positions"] if about else ()
        if kind == "request":
            self._request(content, about, positions)
        if kind == "trained":
            self.first, self.examples = self.current, content["count"]
        elif content["forgot"]:
            self.forgot = number - 1
            self.erased.update(positions)
            if self.base_number > 0:
                self.erased_since = None
            return
        if content["retrained"]:
            self.base, self.base_number = self.current, number
            self.base_seconds, self.erased_since = content["seconds"], set()
            self.sums, self.choices = [0, 0, 0.0, 0.0], set()
        if content["granted"]:
            self.expected += content["count"]
            self.erased.update(positions)
        if about is None and content["commitment"] is not None:
            self.missing = number

    def _request(self, content: Any, about: Any, positions: Sequence[int]) -> None:
        name, number = about["request"] if about else "", content["number"]
        if name and name not in self.tried:
            self.tried[name] = number
        self.sums[1] += content["status"] == Status.NO_GAIN.name
        if not content["granted"]:
            return
        if name:
            self.granted[name] = number
        self.last = number
        self.sums[0] += 1
        self.sums[2] += content["seconds"]
        self.sums[3] += content["update_norm"]
        self.choices.add(_NONE if content["only"] is None else json.dumps(content["only"]))
        if self.erased_since is not None:
            self.erased_since.update(positions)


def complaints(ledger: Ledger, line: Line, names: Names | None = None) -> Iterator[str]:
    """What is wrong with `line` as the next record of `ledger`, one sentence each."""
    what = f"Record {line.number}"
    if line.number != ledger.head.number + 1:
        yield f"{what} follows record {ledger.head.number}: records are missing or out of order."
    if digest(line.body.encode()) != line.hash:
        yield f"{what} was changed: its content does not have its hash."
    try:
        content = json.loads(line.body)
        yield from _about_the_chain(ledger, line, content, what)
        yield from _about_the_subjects(ledger, line, content, what, names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{what} cannot be read: {type(error).__name__}: {error}."


def _about_the_chain(
    ledger: Ledger, line: Line, content: dict[str, Any], what: str
) -> Iterator[str]:
    if content["previous"] != ledger.head.hash:
        yield f"{what} does not follow from the record before."
    if content["number"] != line.number:
        yield f"{what} says that it is record {content['number']}."
    if content["before"] != ledger.current:
        yield f"{what} does not start from the weights that were current."
    kind = content["kind"]
    if (kind == "trained") != (line.number == 0):
        yield f"{what} is of kind {kind!r}, which cannot stand there."
    if kind == "request" and content["granted"] != (content["status"] in OK or content["accepted"]):
        yield f"{what} is granted against its status."
    moves = content["granted"] or kind == "trained"
    if not moves and content["after"] != content["before"]:
        yield f"{what} granted nothing and changed the weights."


def _about_the_subjects(
    ledger: Ledger, line: Line, content: dict[str, Any], what: str, names: Names | None
) -> Iterator[str]:
    if line.subjects is None or line.salt is None:
        return  # allowed only before a record that deleted them: seen when all were taken
    if commitment_of(line.salt, line.subjects) != content["commitment"]:
        yield f"{what}: its subjects are not those it was committed to."
    subjects = json.loads(line.subjects)
    positions, ids = subjects["positions"], subjects["ids"]
    if len(positions) != content["count"]:
        yield f"{what} counts {content['count']} examples and has {len(positions)}."
    if content["forgot"]:
        return
    if any(not 0 <= p < ledger.examples for p in positions):
        yield f"{what} erases an example that the task does not have."
    if content["granted"] and (
        not ledger.erased.isdisjoint(positions) or len(set(positions)) < len(positions)
    ):
        yield f"{what} erases an example twice."
    if names is not None and [names(p) for p in positions] != ids:
        yield f"{what}: its ids are not those that the task has at its positions."
    if content["granted"] and subjects["request"] in ledger.granted:
        yield f"{what}: request {subjects['request']!r} is there twice."
