"""One event of a run on record: evidence that names nobody, and its subjects apart."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field

from curenu.cost import Cost
from curenu.erasure import Certificate, StepRecord
from curenu.runs.records import (
    Anchoring,
    Digest,
    DriftRecord,
    Only,
    Record,
    StatusByName,
    canonical,
    digest,
)
from curenu.status import Status
from curenu.version import __version__

__all__ = [
    "NOTHING_BEFORE",
    "Disposal",
    "Entry",
    "Evidence",
    "Head",
    "Kind",
    "Line",
    "Looked",
    "Measures",
    "RequestRecord",
    "Subjects",
    "commitment_of",
    "entry_of",
    "record_of",
]

NOTHING_BEFORE = "0" * 64
"""What the first record of a run names as the hash of the record before it."""

SALT_BYTES = 32

Kind = Literal["trained", "request", "retrain", "disposal"]


class Evidence(Record):
    """What happened, without a name or an id: numbers, hashes and why.

    `previous` is the hash of the record before, `commitment` SHA-256 of a secret salt followed
    by the `Subjects`, `count` how many examples they are. `before` and `after` name weights.
    `granted` says that the examples left the retain set, `accepted` that a person took a
    result whose `status` is not ok. `retrained` says that the whole model was trained anew,
    `forgot` that the subjects of all records before this one were deleted. `measures` is the
    hash of the `Measures`.
    """

    format: Literal[2] = 2
    number: int
    previous: Digest
    kind: Kind
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    commitment: Digest | None = None
    count: int = 0
    before: Digest
    after: Digest
    method: str = ""
    only: Only = None
    seed: int = 0
    status: StatusByName | None = None
    granted: bool = False
    accepted: bool = False
    retrained: bool = False
    forgot: bool = False
    update_norm: float = 0.0
    seconds: float = 0.0
    measures: Digest
    fingerprint: str
    curenu: str = Field(default_factory=lambda: __version__)
    torch: str = Field(default_factory=lambda: str(torch.__version__))
    device: str = "cpu"


class Subjects(Record):
    """Whom an event was about: the request's name, the ids, and where they stand in the data."""

    request: str = ""
    ids: tuple[int | str, ...] = ()
    positions: tuple[int, ...] = ()


class Looked(Record):
    """The training objective on `examples` that stay: at the model before, after and untrained."""

    examples: int
    value_before: float
    value_after: float
    value_untrained: float
    gradient_before: float
    gradient_after: float
    gradient_untrained: float


class Disposal(Record):
    """Weights that were removed: `kind` "weights" or "oracle", and the name they had."""

    kind: Literal["weights", "oracle"]
    name: str


class Passed(Record):
    """Weights that training passed through, by their hash, and its time until then."""

    time: float
    weights: Digest


class Measures(Record):
    """What was measured in an event, and with which arguments; for evidence, by its hash.

    `penalty` is what an automatic penalty settled on at its first step and `penalty_before`
    what it began with. `without` are the failed attempts whose examples a retraining left out.
    `description` is the hash of the run's own, in the first record. `sources` are the hashes of
    the user's own file, and of what it imported from beside it, that gave the task.
    `checkpoints` are what the training of this record passed through and was kept.
    """

    arguments: dict[str, Any] = Field(default_factory=dict)
    cost: Cost = Cost()
    certificate: Certificate | None = None
    trace: tuple[StepRecord, ...] = ()
    notes: tuple[str, ...] = ()
    anchor: Anchoring = "last"
    penalty_before: float | None = None
    penalty: float | None = None
    looked: Looked | None = None
    drift: DriftRecord | None = None
    without: tuple[int, ...] = ()
    disposed: tuple[Disposal, ...] = ()
    description: Digest | None = None
    sources: dict[str, Digest] = Field(default_factory=dict)
    checkpoints: tuple[Passed, ...] = ()


class Head(NamedTuple):
    """The last record of a ledger: its number and its hash, which stands for all of it."""

    number: int
    hash: str


class Line(NamedTuple):
    """A record as a store keeps it, in texts; `salt` and `subjects` are None once deleted."""

    number: int
    body: str
    hash: str
    salt: str | None
    subjects: str | None


@dataclass(frozen=True)
class Entry:
    """A record to be committed: its line and its measures."""

    line: Line
    measures: str
    evidence: Evidence
    disposed: tuple[Disposal, ...]


def commitment_of(salt: str, subjects: str) -> str:
    """SHA-256 of the salt's bytes followed by the text of the subjects."""
    return hashlib.sha256(bytes.fromhex(salt) + subjects.encode()).hexdigest()


def entry_of(
    head: Head, measures: Measures, subjects: Subjects | None = None, **evidence: Any
) -> Entry:
    """The record that follows `head`, with a new salt for its subjects."""
    described = canonical(measures)
    salt = text = commitment = None
    if subjects is not None:
        salt, text = secrets.token_bytes(SALT_BYTES).hex(), canonical(subjects)
        commitment = commitment_of(salt, text)
    made = Evidence(
        number=head.number + 1,
        previous=head.hash,
        commitment=commitment,
        count=len(subjects.positions) if subjects else evidence.pop("count", 0),
        measures=digest(described.encode()),
        device=_device(),
        **evidence,
    )
    body = canonical(made)
    line = Line(made.number, body, digest(body.encode()), salt, text)
    return Entry(line, described, made, measures.disposed)


def _device() -> str:
    """The processor that did the work, by its kind."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


class RequestRecord(Evidence, Measures):
    """An event as it is read: evidence and measures with the hash of the evidence.

    `request`, `ids` and `positions` are None once the subjects were deleted.
    """

    hash: Digest
    request: str | None
    ids: tuple[int | str, ...] | None
    positions: tuple[int, ...] | None

    @property
    def outcome(self) -> Status:
        """Why it ended; what has no status was simply done."""
        return self.status or Status.SCHEDULE_DONE


def record_of(line: Line, measures: str) -> RequestRecord:
    """The event that the texts of a store tell; raises pydantic's `ValidationError`."""
    evidence = Evidence.model_validate_json(line.body)
    told = Measures.model_validate_json(measures)
    about = None if line.subjects is None else Subjects.model_validate_json(line.subjects)
    return RequestRecord(
        **dict(evidence),
        **dict(told),
        hash=line.hash,
        request=about.request if about else None,
        ids=about.ids if about else None,
        positions=about.positions if about else None,
    )
