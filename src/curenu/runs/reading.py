"""Taking in many records: column by column where they are ordinary, else one by one."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain
from typing import Any

from curenu.errors import RunBroken
from curenu.runs.evidence import Head, Line, commitment_of
from curenu.runs.ledger import NO_RECORD, OK, RESTORE, Ledger, Names, complaints
from curenu.status import Status

__all__ = ["take", "uncollected"]

_AT_ONCE = 1000  # lines whose texts are looked at together

_ORDINARY = re.compile(
    r'^\{"accepted":(true|false),"after":"(.{64})","before":"(.{64})","commitment":"(.{64})",'
    r'"count":(\d+),"curenu":"[^"]*","device":"[^"]*","fingerprint":"[^"]*","forgot":false,'
    r'"format":2,"granted":(true|false),"kind":"request","measures":".{64}","method":"[^"]*",'
    r'"number":(\d+),"only":(null|"[^"\\]*"|\[[^\]\\]*\]),"previous":"(.{64})",'
    r'"retrained":false,"seconds":([^,"]+),"seed":-?\d+,"status":"(\w+)","time":"[^"]*",'
    r'"torch":"[^"]*","update_norm":([^,"}]+)\}$',
    re.MULTILINE | re.ASCII,
)
"""The canonical JSON of a request that did not retrain: a fifth of the time of parsing it."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Without looking for cycles among a hundred thousand new tuples, which have none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def take(ledger: Ledger, lines: Sequence[Line], names: Names | None = None) -> None:
    """Add the records that follow to `ledger`; `RunBroken` at the first that does not.

    A ledger is read whole whenever a run is opened. What does not fit as columns is looked at
    by itself in the end, which says what is wrong, or that it is only of a rarer kind.
    """
    if ledger.head == NO_RECORD and lines:
        _take_in(ledger, lines[:1], names)  # the training, which is not ordinary
        lines = lines[1:]
    for start in range(0, len(lines), _AT_ONCE):
        _take_in(ledger, lines[start : start + _AT_ONCE], names)
    ledger.check_whole()


def _take_in(ledger: Ledger, lines: Sequence[Line], names: Names | None) -> None:
    """Take `lines` at once, or in halves as long as some of them do not fit together."""
    if _take_many(ledger, lines, names):
        return
    if len(lines) > 1:
        half = len(lines) // 2
        _take_in(ledger, lines[:half], names)
        _take_in(ledger, lines[half:], names)
        return
    for complaint in complaints(ledger, lines[0], names):
        raise RunBroken(complaint, RESTORE)
    ledger.add(lines[0])


def _take_many(ledger: Ledger, lines: Sequence[Line], names: Names | None) -> bool:
    """Take ordinary requests that `complaints` would find nothing in; False where some is not."""
    bodies = [line.body for line in lines]
    found = _ORDINARY.findall("\n".join(bodies))
    about = [line for line in lines if line.subjects is not None and line.salt is not None]
    if len(found) != len(lines) or len(about) not in (0, len(lines)):
        return False
    columns = list(zip(*found, strict=True))
    accepted, after, before, commitments, counts, granted, numbers = columns[:7]
    only, previous, seconds, statuses, norms = columns[7:]
    hashes = [sha256(body).hexdigest() for body in map(str.encode, bodies)]
    first = ledger.head.number + 1
    expected = range(first, first + len(lines))
    if not (
        hashes == [line.hash for line in lines]
        and previous == (ledger.head.hash, *hashes[:-1])
        and numbers == tuple(map(str, expected))
        and [line.number for line in lines] == list(expected)
        and before == (ledger.current, *after[:-1])
        and all(
            (given == "true") == (status in OK or taken == "true")
            for given, status, taken in set(zip(granted, statuses, accepted, strict=True))
        )
        and all(g == "true" or a == b for g, a, b in zip(granted, after, before, strict=True))
    ):
        return False
    given = [word == "true" for word in granted]
    subjects = _subjects(ledger, about, commitments, counts, given, names)
    if subjects is None:
        return False
    ledger.head, ledger.current = Head(expected[-1], hashes[-1]), after[-1]
    ledger.expected += sum(int(c) for c, g in zip(counts, given, strict=True) if g)
    _add_sums(ledger, given, seconds, statuses, norms, only)
    if any(given):
        ledger.last = first + max(place for place, g in enumerate(given) if g)
    if not about:
        ledger.missing = expected[-1]
    for number, was_given, (name, _) in zip(expected, given, subjects, strict=False):
        ledger.tried.setdefault(name, number)
        if was_given:
            ledger.granted[name] = number
    gone = set(chain.from_iterable(p for (_, p), g in zip(subjects, given, strict=False) if g))
    ledger.erased |= gone
    if ledger.erased_since is not None:
        ledger.erased_since |= gone
    return True


def _subjects(
    ledger: Ledger,
    about: Sequence[Line],
    commitments: Sequence[str],
    counts: Sequence[str],
    given: Sequence[bool],
    names: Names | None,
) -> list[tuple[str, list[int]]] | None:
    """Name and positions of each; None where something is not as it must be."""
    if not about:
        return []
    made = tuple(commitment_of(line.salt or "", line.subjects or "") for line in about)
    if made != commitments:
        return None
    told = json.loads(f"[{','.join(line.subjects or '' for line in about)}]")
    positions: list[list[int]] = [each["positions"] for each in told]
    everyone = list(chain.from_iterable(positions))
    gone = list(chain.from_iterable(p for p, g in zip(positions, given, strict=True) if g))
    requests = [each["request"] for each in told]
    new = [name for name, g in zip(requests, given, strict=True) if g]
    fits = (
        [str(len(each)) for each in positions] == list(counts)
        and all(0 <= position < ledger.examples for position in everyone)
        and len(set(gone)) == len(gone)
        and ledger.erased.isdisjoint(gone)
        and (
            names is None
            or list(map(names, everyone)) == list(chain.from_iterable(e["ids"] for e in told))
        )
        and all(requests)
        and len(set(new)) == len(new)
        and ledger.granted.keys().isdisjoint(new)
    )
    return list(zip(requests, positions, strict=True)) if fits else None


def _add_sums(
    ledger: Ledger,
    given: Sequence[bool],
    seconds: Sequence[str],
    statuses: Sequence[str],
    norms: Sequence[str],
    only: Sequence[str],
) -> None:
    def added(texts: Sequence[Any]) -> float:
        return sum(float(text) for text, g in zip(texts, given, strict=True) if g)

    sums = ledger.sums
    sums[0] += sum(given)
    sums[1] += statuses.count(Status.NO_GAIN.name)
    sums[2] += added(seconds)
    sums[3] += added(norms)
    ledger.choices.update(
        json.dumps(json.loads(text))
        for text in {text for text, g in zip(only, given, strict=True) if g}
    )
