"""A batch's result becomes the model that is served, with a signed statement of it in the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.checkpoint import checkpoint as signed_head
from curenu.desk.forms import written
from curenu.desk.home import Desk, check_name
from curenu.desk.journal import keep_for_replay
from curenu.desk.log import Log
from curenu.desk.moving import batch_row, decided, move_batch, settle
from curenu.desk.notifying import post
from curenu.desk.ready import require_ready
from curenu.desk.refusals import BarNotPassed, IllegalMove, OnHold
from curenu.desk.signing_anew import signed_today
from curenu.desk.solving import RESULT
from curenu.desk.statement import build, entry_of, report_file, sign, with_log
from curenu.desk.tables import (
    artifact,
    attestation,
    batch_request,
    checkpoint,
    evaluation,
    hold,
    log,
    model,
    model_version,
    recipient,
    request,
    request_target,
)
from curenu.errors import RunBroken
from curenu.runs.folder_store import FolderStore
from curenu.runs.verify import verify

__all__ = ["publish", "reject", "release", "report"]

_LIMITS = ("approximate", "other_copies", "recipients", "derived", "clock", "operator")


def release(desk: Desk, name: str, by: str, recipients: Sequence[str] = ()) -> str:
    """Release what a batch came to; the digest of the weights that are to be served from now on.

    `recipients` are those who get them, and are told when a later release makes them old.
    The same again is success. Raises `BarNotPassed` for a batch below its bar, `OnHold`,
    `IllegalMove` before it is measured, `RunBroken` where the weights are not as they were.
    """
    check_name(by, "person")
    for one in recipients:
        check_name(one, "recipient")
    require_ready(desk)
    now = desk.now()
    with desk.database.reading() as connection:
        row = batch_row(connection, name)
        version = _candidate(connection, name)
    if row.status != "released":
        _check(row, version)
        with desk.database.transaction(now) as connection:
            _release(desk, connection, row, version, by, now)
            for one in sorted(set(recipients)):
                connection.execute(recipient.insert().values(version=version.digest, name=one))
    publish(desk)
    return version.digest


def reject(desk: Desk, name: str, by: str) -> None:
    """Turn down a result that passed its bar; retraining is what remains."""
    check_name(by, "person")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        move_batch(connection, name, "rejected", why="by_a_person")
        candidate = model_version.c.batch == name
        gone = {"state": "superseded", "batch": None}
        connection.execute(model_version.update().where(candidate).values(**gone))
        decided(connection, "reject", by, now, batch=name)


def report(desk: Desk, name: str) -> bytes:
    """The file of a released batch that is given away: its signed statement and the key list.

    Where the key that signed it has expired or was revoked, it is signed anew.
    """
    publish(desk)
    with desk.database.reading() as connection:
        row = batch_row(connection, name)
        chosen = sa.select(attestation).where(attestation.c.batch == name)
        kept = connection.execute(chosen).one_or_none()
    if kept is None:
        raise IllegalMove(f"The batch is {row.status}: there is no report.", "its release first.")
    envelope = signed_today(desk, json.loads(kept.envelope), kept.entry)
    return report_file(envelope, desk.keys.envelope())


def publish(desk: Desk) -> None:
    """Write heads and reports that a kill kept from being written; nothing where all are there."""
    with desk.database.reading() as connection:
        heads = connection.execute(sa.select(checkpoint)).all()
        reports = connection.execute(sa.select(attestation)).all()
    for head in heads:
        if not (desk.folder / "heads" / f"{head.size:010d}.txt").exists():
            desk.export_head(head.size, head.note)
    for one in reports:
        if not (desk.folder / "reports" / f"{one.batch}.json").exists():
            content = report_file(json.loads(one.envelope), desk.keys.envelope())
            desk.keep_report(one.batch, content)


def _check(row: Any, version: Any) -> None:
    if row.status == "rejected" and row.why != "nothing_left":
        raise BarNotPassed(
            f"The batch did not pass: {row.why}. It cannot be released.",
            f"`curenu desk run {row.id} --retrain`.",
        )
    if row.status != "awaiting_release":
        raise IllegalMove(f"The batch is {row.status}.", "running it first.")
    head, faults = verify(FolderStore(Path(version.run)), head=version.head)
    if faults or head.hash != version.head:
        raise RunBroken(
            f"The weights of the batch are not as they were: {(*faults, 'more records')[0]}",
            "rejecting it, and running it again.",
        )


def _candidate(connection: Connection, name: str) -> Any:
    chosen = sa.select(model_version).where(model_version.c.batch == name)
    return connection.execute(chosen).one_or_none()


def _release(
    desk: Desk, connection: Connection, row: Any, version: Any, by: str, now: datetime
) -> None:
    if batch_row(connection, row.id).status == "released":
        return  # by another, meanwhile
    _check_holds(connection, row.id)
    decided(connection, "release", by, now, batch=row.id)
    move_batch(connection, row.id, "released")
    _settle_all(connection, row)
    size = len(_entries(connection))
    current = (model_version.c.model == row.model) & (model_version.c.state == "current")
    _mark(connection, current, "contains_erased", size + 1)
    for digest in connection.execute(sa.select(model_version.c.digest).where(current)).scalars():
        post(connection, digest, now)
    connection.execute(model_version.update().where(current).values(state="tainted"))
    mine = model_version.c.digest == version.digest
    connection.execute(model_version.update().where(mine).values(state="current"))
    _mark(connection, mine, "clean", size + 1)
    others = (model_version.c.model != row.model) & (model_version.c.state == "current")
    _still_clean(connection, others, size + 1)  # what left this model was not asked of others
    chosen = model.update().where(model.c.name == row.model)
    connection.execute(chosen.values(run=version.run, head=version.head))
    _attest(desk, connection, row, version, now)


def _check_holds(connection: Connection, name: str) -> None:
    joined = sa.select(hold.c.id).join(batch_request, batch_request.c.request == hold.c.request)
    standing = joined.where((batch_request.c.batch == name) & hold.c.lifted.is_(None))
    if connection.execute(standing).first() is not None:
        raise OnHold("A request of this batch is on hold.", "`curenu desk hold --lift`.")


def _settle_all(connection: Connection, row: Any) -> None:
    """Every request of the batch that had something to erase is erased from this model."""
    inside = (batch_request.c.batch == row.id) & batch_request.c.outcome.is_(None)
    names = list(connection.execute(sa.select(batch_request.c.request).where(inside)).scalars())
    target = (request_target.c.model == row.model) & request_target.c.request.in_(names)
    connection.execute(request_target.update().where(target).values(state="erased"))
    for one in names:
        settle(connection, one)
    connection.execute(batch_request.update().where(inside).values(outcome="erased"))


def _mark(connection: Connection, versions: Any, marking: str, as_of: int) -> None:
    """Mark the artifacts of versions, those that were derived from them among them."""
    found = sa.select(model_version.c.digest).where(versions)
    chosen = artifact.update().where(artifact.c.version.in_(found))
    connection.execute(chosen.values(marking=marking, as_of=as_of))


def _still_clean(connection: Connection, versions: Any, as_of: int) -> None:
    found = sa.select(model_version.c.digest).where(versions)
    clean = artifact.c.version.in_(found) & (artifact.c.marking == "clean")
    connection.execute(artifact.update().where(clean).values(as_of=as_of))


def _entries(connection: Connection) -> list[bytes]:
    return [
        bytes(e) for e in connection.execute(sa.select(log.c.entry).order_by(log.c.index)).scalars()
    ]


def _attest(desk: Desk, connection: Connection, row: Any, version: Any, now: datetime) -> None:
    """Log, sign and keep the statement, all in the transaction of the release."""
    kept = Log(_entries(connection))
    index, moment = len(kept), now.replace(tzinfo=UTC)
    said = _predicate(desk, connection, row, version, index + 1, moment)
    statement = build(row.model, version.digest, said)
    kept.append(entry_of(statement))
    key = desk.keys.log_key(moment)
    note = signed_head(desk.origin, len(kept), kept.root(), [key])
    proven = with_log(statement, kept, index, note, key.public_key())
    envelope = sign(proven, [desk.keys.statement_key(moment)])
    connection.execute(log.insert().values(index=index, entry=entry_of(statement)))
    connection.execute(checkpoint.insert().values(size=len(kept), note=note))
    made = {"batch": row.id, "release": index + 1, "entry": index}
    connection.execute(attestation.insert().values(**made, envelope=json.dumps(envelope)))
    keep_for_replay(desk, connection, row.id, index, entry_of(statement))


def _predicate(
    desk: Desk, connection: Connection, row: Any, version: Any, number: int, moment: datetime
) -> dict[str, Any]:
    found = json.loads((desk.attempt_folder(row.id, row.attempt) / RESULT).read_bytes())
    chosen = sa.select(request.c.commitment, batch_request.c.outcome).join(
        batch_request, batch_request.c.request == request.c.id
    )
    inside = (batch_request.c.batch == row.id) & (batch_request.c.outcome != "retained")
    asked = connection.execute(chosen.where(inside)).all()
    absent = sum(one.outcome == "not_in_model" for one in asked)
    figures = sa.select(evaluation).where(
        (evaluation.c.batch == row.id) & (evaluation.c.attempt == row.attempt)
    )
    measured = [
        {"name": f.name, "value": f.value, "low": f.low, "high": f.high,
         "passed": bool(f.passed), "oracle": f.oracle}
        for f in connection.execute(figures)
    ]  # fmt: skip
    done = {key: found[key] for key in ("status", "before", "curenu", "torch", "method")}
    done |= {"kind": version.kind, "settings": version.settings}
    done |= {"started": found["started"] + "Z", "finished": found["finished"] + "Z"}
    finished = datetime.fromisoformat(done["finished"])  # by the worker's clock, perhaps ahead
    done["results"] = {"erased": len(asked) - absent, "not_in_model": absent}
    return {
        "outcome": "released", "release": number, "decided": max(moment, finished), "done": done,
        "asked": {
            "requests": len(asked), "examples": found["examples"],
            "commitments": sorted(one.commitment for one in asked),
        },
        "measured": {"figures": measured, "oracles": found["oracles"]},
        "limits": list(_LIMITS if version.kind == "erased" else _LIMITS[1:]),
        "old_versions": _old_versions(connection, row.model),
    }  # fmt: skip


def _old_versions(connection: Connection, name: str) -> list[dict[str, Any]]:
    """What became of each older version, and of the copies that were given away."""
    over = (model_version.c.model == name) & model_version.c.state.in_(("tainted", "disposed"))
    chosen = sa.select(model_version.c.digest, model_version.c.state, artifact.c.disposed)
    joined = chosen.join(artifact, artifact.c.digest == model_version.c.digest)
    told = []
    for row in connection.execute(joined.where(over).order_by(model_version.c.made)).all():
        mine = sa.select(recipient).where(recipient.c.version == row.digest)
        given = connection.execute(mine).all()
        gone = None if row.disposed is None else written(row.disposed)
        told.append(
            {"sha256": row.digest, "state": row.state, "disposed": gone, "recipients": len(given),
             "notified": sum(one.notified is not None for one in given),
             "acknowledged": sum(one.acknowledged is not None for one in given)}
        )  # fmt: skip
    return told
