"""What the records of a run add up to, each checked to follow from the one before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from curenu.errors import RunBroken
from curenu.runs.evidence import NOTHING_BEFORE, Head, Line, commitment_of
from curenu.runs.records import digest
from curenu.status import Status

__all__ = ["NO_RECORD", "RESTORE", "Ledger", "Since", "complaints"]

RESTORE = "restoring the run from a copy; `curenu verify` lists everything that does not fit."

NO_RECORD = Head(-1, NOTHING_BEFORE)
"""The head of a ledger without a record."""

Names = Callable[[int], int | str]
"""The task's id of a position."""

_OK = {status.name for status in Status if status.ok}


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

    def plus(self, content: dict[str, Any]) -> Since:
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
    record that granted a request of that name, and the first that tried to.
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
    since: Since = Since()
    last: dict[str, Any] = field(default_factory=dict)
    expected: int = 0
    missing: int = -1

    def take(self, lines: Iterable[Line], names: Names | None = None) -> None:
        """Add the records that follow; `RunBroken` at the first that does not."""
        for line in lines:
            for complaint in complaints(self, line, names):
                raise RunBroken(complaint, RESTORE)
            self.add(line)
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
        content = json.loads(line.body)
        self.head = Head(line.number, line.hash)
        kind, number = content["kind"], line.number
        self.current = content["after"]
        if kind == "trained":
            self.first, self.examples = self.current, content["count"]
        if content["retrained"]:
            self.base, self.base_number = self.current, number
            self.base_seconds, self.since, self.erased_since = content["seconds"], Since(), set()
        positions, name = _subjects(line)
        if content["forgot"]:
            self.forgot = number - 1
            self.erased.update(positions)
            if self.base_number > 0:
                self.erased_since = None
            return
        if kind == "request":
            self._request(content, name, positions)
        elif content["granted"]:
            self.expected += content["count"]
            self.erased.update(positions)
        if line.subjects is None and content["commitment"] is not None:
            self.missing = number

    def _request(self, content: dict[str, Any], name: str, positions: list[int]) -> None:
        number = content["number"]
        if name:
            self.tried.setdefault(name, number)
        if not content["granted"]:
            stuck = content["status"] == Status.NO_GAIN.name
            self.since = replace(self.since, stuck=self.since.stuck + stuck)
            return
        self.expected += content["count"]
        self.erased.update(positions)
        if name:
            self.granted[name] = number
        self.last = content
        if content["retrained"]:
            return
        self.since = self.since.plus(content)
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
    if kind == "request" and content["granted"] != (
        content["status"] in _OK or content["accepted"]
    ):
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


def _subjects(line: Line) -> tuple[list[int], str]:
    if line.subjects is None:
        return [], ""
    content = json.loads(line.subjects)
    return content["positions"], content["request"]
