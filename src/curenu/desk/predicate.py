"""What a statement about an erasure says: counts, commitments, digests and figures; no free text.

Every text in it is a digest, a time, one of a list of words, or one of the six fields in
`SHORT_TEXTS`, each of which holds what its pattern allows: no blank and no @.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curenu.desk.forms import Digest, Form, Moment
from curenu.status import Status

__all__ = [
    "PREDICATE_TYPE", "SHORT_TEXTS", "Asked", "Done", "Figure", "FigureName", "Limit",
    "LogEvidence", "Measured", "OldVersion", "Predicate", "Results", "Subject",
]  # fmt: skip

PREDICATE_TYPE = "https://curenu.dev/attestations/erasure/v1"

SHORT_TEXTS = ("name", "method", "curenu", "torch", "origin", "checkpoint")
"""Names of the only fields whose texts are neither digests, times nor words of a list."""

ModelName = Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{0,62}$")]
MethodName = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,38}$")]
Version = Annotated[str, Field(pattern="^[0-9][0-9A-Za-z.+-]{0,38}$")]
Origin = Annotated[str, Field(pattern="^[a-z0-9.-]{1,100}(/[a-z0-9._-]{1,60}){0,4}$")]
Note = Annotated[
    str,
    Field(
        pattern="^[a-z0-9./_-]+\n[0-9]{1,15}\n[A-Za-z0-9+/]{43}=\n\n"
        "— [a-z0-9./_-]+ [A-Za-z0-9+/]+={0,2}\n$"
    ),
]
Count = Annotated[int, Field(ge=0)]

FigureName = Literal["R", "G", "membership_attack", "holdout_loss"]
Limit = Literal["approximate", "other_copies", "recipients", "derived", "clock", "operator"]
StatusName = Literal[
    "CONVERGED", "SINGLE_STEP", "SCHEDULE_DONE", "STEP_LIMIT", "PRODUCT_LIMIT", "STALLED",
    "UNMOVED", "ROUNDED_AWAY", "NO_GAIN", "COST_LIMIT", "AWAY", "DIVERGED",
]  # fmt: skip


class Subject(Form):
    """The weights that a statement is about: the model's name and SHA-256 of its file."""

    name: ModelName
    sha256: Digest


class Asked(Form):
    """The requests, by one commitment each, and how many examples they named together."""

    requests: Annotated[int, Field(ge=1)]
    examples: Count
    commitments: tuple[Digest, ...]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(self.commitments)) != len(self.commitments) or (
            len(self.commitments) != self.requests
        ):
            raise ValueError("there is not one commitment for each request")
        return self


class Results(Form):
    """How many requests ended how on this model; `grounds` of GDPR Art. 17(3) to retain."""

    erased: Count
    not_in_model: Count = 0
    retained: Count = 0
    failed: Count = 0
    grounds: tuple[Literal["a", "b", "c", "d", "e"], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if bool(self.retained) != bool(self.grounds):
            raise ValueError("what is retained has a ground, and nothing else has one")
        return self


class Done(Form):
    """How the model `before` became the subject: by an erasure or a retraining.

    `settings` is SHA-256 of the method's arguments; `accepted` says that a person took a result
    whose `status` is not ok.
    """

    kind: Literal["erased", "retrained"]
    method: MethodName
    settings: Digest
    status: StatusName
    accepted: bool = False
    before: Digest
    started: Moment
    finished: Moment
    results: Results
    curenu: Version
    torch: Version

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.finished < self.started:
            raise ValueError("it finished before it started")
        if not Status[self.status].ok and not self.accepted:
            raise ValueError("a result whose status is not ok was accepted by nobody")
        return self


class Figure(Form):
    """One figure beside its bar: passed if low <= value <= high, where each end may be open.

    `oracle` is the same figure of a network trained without the examples, where there is one.
    """

    name: FigureName
    value: float
    low: float | None = None
    high: float | None = None
    passed: bool
    oracle: float | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("a figure has no bar")
        above = self.low is None or self.value >= self.low
        if self.passed != (above and (self.high is None or self.value <= self.high)):
            raise ValueError("a figure is said to have passed against its bar, or the reverse")
        return self


class Measured(Form):
    """The figures, each at most once, and how many oracles they were compared with."""

    figures: tuple[Figure, ...] = ()
    oracles: Count = 0

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [figure.name for figure in self.figures]
        if len(set(names)) < len(names):
            raise ValueError("a figure is there twice")
        if not self.oracles and any(figure.oracle is not None for figure in self.figures):
            raise ValueError("there is a figure of an oracle, and no oracle")
        return self


class OldVersion(Form):
    """Weights that saw the examples: what became of them, and of the copies given away."""

    sha256: Digest
    state: Literal["tainted", "disposed"]
    disposed: Moment | None = None
    recipients: Count = 0
    notified: Count = 0
    acknowledged: Count = 0

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.state == "disposed") != (self.disposed is not None):
            raise ValueError("what was disposed of has a time, and nothing else has one")
        if not self.acknowledged <= self.notified <= self.recipients:
            raise ValueError("more acknowledged than were notified, or were notified than received")
        return self


class LogEvidence(Form):
    """Where the statement is in the desk's log: its index in the log of the signed head.

    `key` is the id of the key that signed the head, `proof` the inclusion proof from the leaf up.
    """

    origin: Origin
    key: Digest
    index: Count
    size: Annotated[int, Field(ge=1)]
    proof: tuple[Digest, ...]
    checkpoint: Note


class Predicate(Form):
    """An erasure and what came of it.

    `release` counts the releases of the desk up to this one; a rejected result has none. `limits`
    are what the statement does not prove. `log` is None until the statement is in the log.
    """

    outcome: Literal["released", "rejected"]
    release: Annotated[int, Field(ge=1)] | None
    decided: Moment
    asked: Asked
    done: Done
    measured: Measured
    limits: tuple[Limit, ...]
    old_versions: tuple[OldVersion, ...] = ()
    log: LogEvidence | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.outcome == "released") != (self.release is not None):
            raise ValueError("a release has a number, and nothing else has one")
        if self.decided < self.done.finished:
            raise ValueError("it was decided on before it was done")
        told = self.done.results
        ended = told.erased + told.not_in_model + told.retained + told.failed
        if ended != self.asked.requests:
            raise ValueError("not every request has a result")
        if self.done.kind == "erased":
            self._check_the_bar()
        least = {"other_copies", "clock"} | (
            {"approximate"} if self.done.kind == "erased" else set()
        )
        if not least <= set(self.limits):
            raise ValueError(f"it must say that it does not prove {sorted(least)}")
        return self

    def _check_the_bar(self) -> None:
        names = {figure.name for figure in self.measured.figures}
        if self.outcome == "released" and len(names) < 4:
            raise ValueError("an erasure is released with all four figures")
        if self.outcome == "released" and not all(one.passed for one in self.measured.figures):
            raise ValueError("an erasure that did not pass its bar cannot be released: retrain")
