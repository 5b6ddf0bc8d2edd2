"""A run's current model against models that never saw what was erased, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from curenu.audits import Finding
from curenu.compare.comparison import Stage, compare, distance
from curenu.compare.conclusions import conclusions
from curenu.compare.membership import membership
from curenu.compare.predictions import PredictionReferences, decides, predictions_of
from curenu.errors import BadRequest, Disposed, IllPosed
from curenu.networks import TrainedNetwork, split_of
from curenu.report import NOTHING, ORACLE, Row
from curenu.runs.evidence import RequestRecord
from curenu.runs.session import Session

__all__ = ["Assessment", "evaluate"]


@dataclass(frozen=True)
class Assessment:
    """Do nothing, the oracles and the run's current model as rows; what may be concluded.

    `missing` says which audits do not apply to this task, and why.
    """

    rows: tuple[Row, ...]
    conclusions: tuple[str, ...]
    missing: tuple[str, ...] = ()


def evaluate(session: Session, oracles: int, stage: Stage) -> Assessment:
    """The current model beside `oracles` retrained ones, on all that was ever erased.

    Which audits apply is found out on the trained model, before any oracle is trained.
    Raises `BadRequest` when nothing has been erased or fewer than two oracles are asked for,
    `RunBroken` when an oracle that was kept is no longer what it was.
    """
    if not session.records:
        raise BadRequest("Nothing has been erased from this run.", "`curenu unlearn` first.")
    if oracles < 2:
        raise BadRequest(f"{oracles} oracles have no spread.", "two oracles or more.")
    session.check_oracles(oracles)
    first = _first(session)
    classifies = decides(session.task, session.model, session.erased)
    missing = _missing_attacks(session, first) if classifies else _NO_CLASSES
    attacks = classifies and not missing
    missing += () if first is not None else _NOT_KEPT
    missing += (session.origin,) if session.origin else ()
    trained = []
    for number in range(oracles):
        with stage(f"oracle {number + 1} of {oracles}") as progress:
            trained.append(session.oracle(number, progress=progress))
    with stage("auditing"):
        if classifies:
            rows = _classified(session, trained, first, attacks=attacks)
        else:
            rows = _predicted(session, trained, first)
    before = None if first is None else rows[0]
    said = conclusions(rows[-1], before, erased=len(session.erased), oracles=oracles)
    return Assessment(rows, said, missing)


_NO_CLASSES = (
    "The task does not decide between classes: accuracies, divergences of class probabilities and "
    "RMIA do not apply. Losses, outputs in units of the oracles' spread and an attack by loss "
    "are reported instead, as far as the loss shows its outputs.",
)


_NOT_KEPT = (
    "The model from before the erasures was disposed of: there is no row of doing nothing, no part "
    "of the gap that was closed (G), and no attack by someone who has both models. `--keep all` "
    "at `curenu train` keeps it.",
)


def _first(session: Session) -> nn.Module | None:
    """The model as it was trained, unless its weights were disposed of."""
    try:
        return session.first_model
    except Disposed:
        return None


def _missing_attacks(session: Session, first: nn.Module | None) -> tuple[str, ...]:
    """Why no membership attack can be made on this request; nothing if one can."""
    before, now = (
        split_of(session.task, session.erased, session.retained, model)
        for model in (first or session.model, session.model)
    )
    try:
        membership(now, [before], before)
    except (BadRequest, IllPosed) as error:
        return (f"No membership attack: {error.problem}",)
    return ()


def _classified(
    session: Session, trained: list[TrainedNetwork], first: nn.Module | None, *, attacks: bool
) -> tuple[Row, ...]:
    comparison = compare(
        session.task, session.erased, session.retained, first, trained, attacks=attacks
    )
    own = comparison.row(_name(session), session.model, _seconds(session), **_spent(session))
    return _in_order(session, trained, first, comparison.nothing(), comparison.oracle(), own)


def _predicted(
    session: Session, trained: list[TrainedNetwork], first: nn.Module | None
) -> tuple[Row, ...]:
    """The same rows for a task without classes; see `Comparison` for their fields."""

    def on(model: nn.Module) -> Any:
        return predictions_of(session.task, session.erased, session.retained, model)

    def moved(model: nn.Module) -> float | None:
        return None if first is None else distance(model, first)

    before = None if first is None else on(first)
    references = PredictionReferences(tuple(on(o.model) for o in trained), before)
    retraining = float(np.mean([oracle.seconds for oracle in trained]))
    seconds = _seconds(session)
    nothing = None
    if before is not None:
        found = tuple(references.findings(before))
        nothing = Row(NOTHING, found, update_norm=0.0, seconds=0.0, ratio=0.0)
    oracle = Row(
        ORACLE,
        tuple(references.oracles_findings()),
        update_norm=None
        if first is None
        else float(np.mean([distance(o.model, first) for o in trained])),
        seconds=retraining,
        ratio=1.0,
    )
    own = Row(
        _name(session),
        tuple(references.findings(on(session.model))),
        update_norm=moved(session.model),
        seconds=seconds,
        ratio=None if seconds is None else seconds / retraining,
        **_spent(session),
    )
    return _in_order(session, trained, first, nothing, oracle, own)


def _in_order(
    session: Session,
    trained: list[TrainedNetwork],
    first: nn.Module | None,
    nothing: Row | None,
    oracle: Row,
    own: Row,
) -> tuple[Row, ...]:
    """Do nothing where there is such a row, the oracles, the current model; with distances."""
    pairs = ((nothing, first), (oracle, None), (own, session.model))
    return tuple(_with_distance(row, m, trained) for row, m in pairs if row is not None)


def _with_distance(row: Row, model: Any, trained: list[TrainedNetwork]) -> Row:
    """The row with the mean distance of its weights to the oracles'; None: the oracles' own."""
    apart = [
        distance(one.model, other.model)
        for place, one in enumerate(trained)
        for other in trained[place + 1 :]
    ]
    own = apart if model is None else [distance(model, oracle.model) for oracle in trained]
    found = Finding("distance", float(np.mean(own)), None, float(np.mean(apart)))
    return replace(row, findings=(*row.findings, found))


def _since(session: Session) -> list[RequestRecord]:
    """The requests that made the current model from the one that was last trained."""
    return [record for record in session.records if record.number > session.base]


def _name(session: Session) -> str:
    methods = dict.fromkeys(record.method for record in _since(session))
    return ", ".join(methods) or "the run's own retraining"


def _seconds(session: Session) -> float | None:
    """What the erasures took; None of a model that was trained anew since the last one."""
    since = _since(session)
    return sum(record.seconds for record in since) if since else None


def _spent(session: Session) -> dict[str, Any]:
    """What the requests cost and how they ended, as fields of a row."""
    records = _since(session)
    if not records:
        return {"status": "Trained anew without what was erased: an oracle of the run's own seed."}
    trace = tuple(step for record in records for step in record.trace)
    dampings = [step.damping for step in trace if step.damping is not None]
    return {
        "damping": dampings[-1] if dampings else None,
        "products": sum(record.cost.hvps for record in records),
        "examples": sum(record.cost.examples for record in records),
        "status": str(records[-1].outcome),
        "trace": trace,
    }
