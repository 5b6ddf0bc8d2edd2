"""From a checked request to the record of what came of it, granted or not."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from curenu.checks import positions_of
from curenu.erasure import Erasure, Method
from curenu.errors import BadRequest, Disposed, RunMoved
from curenu.facade import erase
from curenu.methods import Retrain, resolve_method
from curenu.networks import timed_training, warm_up
from curenu.own_model import with_parameters
from curenu.runs.drift import chain_of, measure
from curenu.runs.evidence import Entry, Head, Looked, Measures, RequestRecord, Subjects, entry_of
from curenu.runs.identity import derived_seed, describe_method
from curenu.runs.outcome import look, status_of
from curenu.runs.passed import packed
from curenu.runs.records import DriftRecord, Packed, pack
from curenu.runs.request import Progress, Request, told
from curenu.runs.run import Run
from curenu.runs.screening import Policy
from curenu.settings import Seed, fitted
from curenu.status import Status

__all__ = ["SessionResult", "granted_before", "require_head", "retrained", "tried"]

_ACCEPTED = "Taken as it is by the person who asked, although its status is not ok."
_NO_BASE = (
    "The weights that were last trained are disposed of: distance, aim and the comparison with "
    "erasing at once cannot be measured any more."
)


def granted_before(
    run: Run,
    request: str | None,
    forget: Sequence[Hashable] | Tensor,
    method: str | Method,
    seed: int | None,
) -> RequestRecord | None:
    """The record that granted the request of that name.

    Raises `BadRequest` where it was for other ids, by another method or another way: what is
    asked now would not be done, and a record of something else is no answer.
    """
    same = run.record_of(request)
    if same is None:
        return None
    positions = positions_of(forget, run.description.examples, ids=run.task.ids)
    if tuple(positions) != same.positions:
        raise BadRequest(
            f"Request {request!r} was granted before, for other ids.",
            "a new name for a new request.",
        )
    name, arguments = describe_method(resolve_method(method))
    asked = json.loads(json.dumps({"method": name, "seed": seed} | arguments, default=str))
    done = {"method": same.method, "seed": same.seed} | same.arguments
    if seed is None:
        del asked["seed"]
    other = [key for key in asked if key in done and asked[key] != done[key]]
    if other:
        said = ", ".join(f"{key} {done[key]}, not {asked[key]}" for key in other[:3])
        raise BadRequest(
            f"Request {request!r} was granted before, as record {same.number}, with {said}; "
            "nothing was done now.",
            "the same as then for its record, or a new name for what is left to erase.",
        )
    return same


@dataclass(frozen=True)
class SessionResult:
    """The current model and the record of what was asked for.

    `repeated` when the request had been granted before: `record` then says where, and `model`
    is the run's model now, which knows no more than what was granted since. `head` is the
    ledger's, to be kept elsewhere.
    """

    model: nn.Module
    record: RequestRecord
    head: Head
    repeated: bool = False

    @property
    def granted(self) -> bool:
        """Whether the examples left the retain set; a failed attempt changes nothing."""
        return self.record.granted


def tried(
    run: Run, asked: Request, *, accept: bool, check_drift: int, policy: Policy | None = None
) -> tuple[Entry, list[Packed]]:
    """Run `asked`, unless `policy` refuses it: its record and, if granted, the new weights."""
    screened = () if policy is None else policy(run, asked)
    if isinstance(asked.method, Retrain):
        warm_up(run.task)  # its seconds are what later erasures are held against
    erasure = erase(asked.problem, asked.method, seed=asked.seed)
    require_head(run, asked.head)
    model = with_parameters(run.model, asked.risk.parameters, erasure.theta)
    weights = pack(model.state_dict())
    before = asked.before
    name, _ = describe_method(asked.method)
    whole = name == "retrain" and asked.only is None
    looked = None if whole else _looked(run, asked, erasure)
    status = erasure.status
    if looked is not None:
        status = status_of(status, looked, moved=weights.name != before)
    granted = status.ok or accept
    told_of = {
        "status": status,
        "only": asked.only,
        "seconds": erasure.cost.seconds,
        "update_norm": float((erasure.theta - asked.problem.start).double().norm()),
    }
    drift = None
    if granted and not whole:
        drift = _drift(run, asked, model, told_of, check_drift)
    accepted = accept and not status.ok
    entry = entry_of(
        asked.head,
        _measures(run, asked, erasure, looked, drift, accepted=accepted, screened=screened),
        _subjects(run, asked.name, asked.positions),
        kind="request",
        before=before,
        after=weights.name if granted else before,
        method=name,
        seed=asked.seed,
        granted=granted,
        accepted=accepted,
        retrained=whole and granted,
        fingerprint=run.fingerprint.digest,
        **told_of,
    )
    return entry, [weights] if granted else []


def retrained(
    run: Run, *, seed: int | None, without: Sequence[int], progress: Progress | None
) -> tuple[Entry, list[Packed]]:
    """Train without all that was erased, and without the examples of attempts `without`."""
    seed = fitted("seed", seed, Seed | None)
    head, before, model_before = run.head, run.current, run.model
    number = head.number + 1
    going = _attempted(run, without)
    kept = [p for p in run.retained if p not in going]
    if not kept:
        raise BadRequest("Nothing would be left to train on.", "fewer attempts.")
    own = derived_seed(run.description.seed, "retrain", number) if seed is None else seed
    made = timed_training(
        run.task,
        own,
        ids=kept,
        progress=progress and told(progress),
        checkpoints=len(run.record(0).checkpoints),
    )
    passed, files = packed(made.checkpoints)
    require_head(run, head)
    weights = pack(made.model.state_dict())
    entry = entry_of(
        head,
        Measures(without=tuple(without), sources=run.sources, checkpoints=passed),
        _subjects(run, f"retrain-{number}", sorted(going)) if going else None,
        kind="retrain",
        before=before,
        after=weights.name,
        method="retrain",
        seed=own,
        status=Status.SCHEDULE_DONE,
        granted=True,
        retrained=True,
        update_norm=_distance(made.model, model_before),
        seconds=made.seconds,
        fingerprint=run.fingerprint.digest,
    )
    return entry, [weights, *files]


def require_head(run: Run, head: Head) -> None:
    """Raise `RunMoved` if another has written since the run was at `head`."""
    found = run.head
    if found != head:
        raise RunMoved(
            f"The run is at record {found.number} ({found.hash[:12]}), and this was begun at "
            f"record {head.number} ({head.hash[:12]}).",
            "the same again, on the run as it is now.",
        )


def _looked(run: Run, asked: Request, erasure: Erasure) -> Looked:
    untrained = asked.risk.vector_of(run.task.initialise(run.description.seed))
    seed = derived_seed(run.description.seed, "look", run.next_number)
    generator = torch.Generator().manual_seed(seed)
    return look(asked.problem, erasure.theta, untrained, generator)


def _drift(
    run: Run, asked: Request, model: nn.Module, told_of: dict[str, object], check_drift: int
) -> DriftRecord:
    content = {**told_of, "status": told_of["status"].name}  # type: ignore[attr-defined]
    since = run.ledger.since.plus(content)
    due = check_drift and since.requests % check_drift == 0
    return measure(
        chain_of(run, model, asked.problem.training, since, asked.positions),
        anchored=asked.anchored,
        once=asked.method if due else None,
    )


def _measures(
    run: Run,
    asked: Request,
    erasure: Erasure,
    looked: Looked | None,
    drift: DriftRecord | None,
    *,
    accepted: bool,
    screened: tuple[str, ...],
) -> Measures:
    notes = [*erasure.notes, *screened]
    notes += [_ACCEPTED] if accepted else []
    notes += [_NO_BASE] if drift is not None and drift.distance is None else []
    return Measures(
        arguments=describe_method(asked.method)[1],
        sources=run.sources,
        cost=erasure.cost,
        certificate=erasure.certificate,
        trace=erasure.trace,
        notes=tuple(notes),
        anchor=asked.anchor,
        penalty_before=asked.problem.penalty,
        penalty=erasure.penalty,
        looked=looked,
        drift=drift,
    )


def _subjects(run: Run, request: str, positions: Sequence[int]) -> Subjects:
    return Subjects(
        request=request,
        ids=tuple(run.id_of(position) for position in positions),
        positions=tuple(positions),
    )


def _attempted(run: Run, numbers: Sequence[int]) -> set[int]:
    """The positions of the failed attempts of those numbers."""
    going: set[int] = set()
    for number in numbers:
        record = run.record(number)
        if record.kind != "request" or record.granted:
            raise BadRequest(
                f"Record {number} is no failed attempt.", "numbers of those that `log` shows."
            )
        if record.positions is None:
            raise Disposed(f"Whom record {number} was about is deleted.", "asking for them again.")
        going.update(record.positions)
    return going - run.ledger.erased


def _distance(model: nn.Module, other: nn.Module) -> float:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    squares = [float((a.detach().double() - b.detach().double()).square().sum()) for a, b in pairs]
    return sum(squares) ** 0.5
