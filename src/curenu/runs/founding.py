"""What a run is made of, checked before its first training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from curenu.checks import size_of
from curenu.errors import BadRequest
from curenu.networks import Fingerprint
from curenu.runs.adopting import ADOPT, ADOPTED
from curenu.runs.evidence import NOTHING_BEFORE, Entry, Measures, Passed, entry_of
from curenu.runs.identity import describe_recipe
from curenu.runs.ledger import NO_RECORD
from curenu.runs.records import Keep, Packed, RunDescription, Value, canonical, digest
from curenu.status import Status
from curenu.tasks import Task

__all__ = ["Founding", "describe", "first_entry"]


@dataclass(frozen=True)
class Founding:
    """A run's description but for the weights and seconds of its first training."""

    description: RunDescription

    def found(
        self, weights: Packed, seconds: float | None, checkpoints: tuple[Passed, ...] = ()
    ) -> tuple[RunDescription, Entry]:
        """The description, and the first record of the ledger; no seconds: trained elsewhere."""
        update = {"start": weights.name, "seconds": seconds or 0.0}
        described = self.description.model_copy(update=update)
        return described, first_entry(described, checkpoints, adopted=seconds is None)


def describe(
    task: Task,
    problem: Fingerprint,
    reference: str | None,
    options: Mapping[str, Value],
    *,
    sources: Mapping[str, str],
    seed: int,
    keep: Keep,
) -> Founding:
    """What the run of `task` will be; `BadRequest` for what cannot be kept on record."""
    try:
        description = RunDescription(
            task=reference,
            sources=dict(sources),
            title=task.name,
            options=dict(options),
            recipe=describe_recipe(task),
            seed=seed,
            examples=size_of(task.train),
            fingerprint=problem,
            start=NOTHING_BEFORE,
            keep=keep,
        )
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        place = ".".join(map(str, complaint["loc"]))
        raise BadRequest(
            f"The run cannot be described: {place}: {complaint['msg']}.", "another value."
        ) from error
    return Founding(description)


def first_entry(
    description: RunDescription, checkpoints: tuple[Passed, ...] = (), *, adopted: bool = False
) -> Entry:
    """The record of a run's first training, or of its adoption; it binds the description."""
    return entry_of(
        NO_RECORD,
        Measures(
            description=digest(canonical(description).encode()),
            sources=description.sources,
            notes=(ADOPTED,) if adopted else (),
            checkpoints=checkpoints,
        ),
        kind="trained",
        time=description.created,
        before=NOTHING_BEFORE,
        after=description.start,
        method=ADOPT if adopted else "train",
        seed=description.seed,
        status=Status.SCHEDULE_DONE,
        granted=False,
        retrained=True,
        count=description.examples,
        seconds=description.seconds,
        fingerprint=description.fingerprint.digest,
    )
