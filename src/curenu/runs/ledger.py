"""What the records of a run add up to, each checked to follow from the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

_AT_ONCE = 1000  # lines whose texts are parsed together
_NONE = json.dumps(None)
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
    last request that was granted. `expected` examples are erased by the evidence, and
    `missing` is the last record without its subjects.
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
    _sums: list[float] = field(default_factory=lambda: [0, 0, 0.0, 0.0])
    _only: set[str] = field(default_factory=set)

    @property
    def since(self) -> Since:
        """What was granted since `base`, in sums."""
        requests, stuck, seconds, path = self._sums
        return Since(int(requests), int(stuck), seconds, path, frozenset(self._only))

    def take(self, lines: Sequence[Line], names: Names | None = None) -> None:
        """Add the records that follow; `RunBroken` at the first that does not.

        A ledger is read whole whenever a run is opened: texts are parsed many at a time, and a
        line that does not fit is looked at again only to say why.
        """
        for start in range(0, len(lines), _AT_ONCE):
            chunk = lines[start : start + _AT_ONCE]
            for line, content, about in zip(chunk, *_parsed(chunk), strict=True):
                if not _fits(self, line, content, about, names):
                    told = [*complaints(self, line, names), f"Record {line.number} does not fit."]
                    raise RunBroken(told[0], RESTORE)
                self._add(line, content, about)
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
        self._add(line, json.loads(line.body), about)

    def _add(self, line: Line, content: Any, about: Any) -> None:
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
            self._sums, self._only = [0, 0, 0.0, 0.0], set()
        if content["granted"]:
            self.expected += content["count"]
            self.erased.update(positions)
        if about is None and content["commitment"] is not None:
            self.missing = number

    def _request(self, content: Any, about: Any, positions: Sequence[int]) -> None:
        name, number = about["request"] if about else "", content["number"]
        if name and name not in self.tried:
            self.tried[name] = number
        self._sums[1] += content["status"] == Status.NO_GAIN.name
        if not content["granted"]:
            return
        if name:
            self.granted[name] = number
        self.last = number
        self._sums[0] += 1
        self._sums[2] += content["seconds"]
        self._sums[3] += content["update_norm"]
        self._only.add(_NONE if content["only"] is None else json.dumps(content["only"]))
        if self.erased_since is not None:
            self.erased_since.update(positions)


def _parsed(lines: Sequence[Line]) -> tuple[list[Any], list[Any]]:
    """Bodies and subjects of `lines`; as many None where they are not all JSON."""
    try:
        bodies = json.loads(f"[{','.join(line.body for line in lines)}]")
        abouts = json.loads(f"[{','.join(line.subjects or 'null' for line in lines)}]")
    except (ValueError, TypeError):
        return _one_by_one([line.body for line in lines]), [
            *_one_by_one([line.subjects or "null" for line in lines])
        ]
    if len(bodies) != len(lines) or len(abouts) != len(lines):
        return [None] * len(lines), [None] * len(lines)
    return bodies, abouts


def _one_by_one(texts: list[str]) -> list[Any]:
    found: list[Any] = []
    for text in texts:
        try:
            found.append(json.loads(text))
        except (ValueError, TypeError):
            found.append(None)
    return found


def _fits(ledger: Ledger, line: Line, content: Any, about: Any, names: Names | None) -> bool:
    """Whether `complaints` would find nothing, in the time that a hundred thousand allow."""
    try:
        head, granted, kind = ledger.head, content["granted"], content["kind"]
        if not (
            line.number == content["number"] == head.number + 1
            and hashlib.sha256(line.body.encode()).hexdigest() == line.hash
            and content["previous"] == head.hash
            and content["before"] == ledger.current
            and (kind == "trained") == (line.number == 0)
            and (kind != "request" or granted == (content["status"] in _OK or content["accepted"]))
            and (granted or kind == "trained" or content["after"] == content["before"])
        ):
            return False
        if about is None or line.salt is None:
            return about is None
        positions = about["positions"]
        return (
            commitment_of(line.salt, line.subjects or "") == content["commitment"]
            and len(positions) == content["count"]
            and (
                content["forgot"]
                or (
                    min(positions) >= 0
                    and max(positions) < ledger.examples
                    and not (granted and not ledger.erased.isdisjoint(positions))
                    and len(set(positions)) == len(positions)
                    and (names is None or [names(p) for p in positions] == about["ids"])
                    and not (granted and about["request"] in ledger.granted)
                )
            )
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


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
