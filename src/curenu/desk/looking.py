"""What the desk shows: requests by what is due, one request's story, batches, and what is wrong."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from curenu.desk.allow_list import Attestation, ReleaseHead
from curenu.desk.disposing import undestroyed
from curenu.desk.forms import written
from curenu.desk.guards import unguarded
from curenu.desk.home import Desk
from curenu.desk.moving import request_row
from curenu.desk.ready import entries, log_complaints
from curenu.desk.states import OPEN_DSR
from curenu.desk.tables import (
    HAS_ENDED,
    IS_OPEN,
    artifact,
    batch,
    decision,
    evaluation,
    lease,
    model,
    model_version,
    outbox,
    request,
    request_target,
)
from curenu.errors import CurenuError
from curenu.runs.folder_store import FolderStore
from curenu.runs.verify import verify

__all__ = [
    "MOST",
    "attestations",
    "batches",
    "complaints",
    "due_query",
    "due_requests",
    "measures",
    "runnable",
    "story",
    "weights_of",
]

MOST = 500
_SOON = timedelta(days=3)
_KEYS_SOON = timedelta(days=14)


def due_requests(desk: Desk, *, ended: bool = True) -> list[Any]:
    """At most 500 requests by their last day, those that have ended last."""
    found: list[Any] = []
    with desk.database.reading() as connection:
        for condition in (IS_OPEN, HAS_ENDED) if ended else (IS_OPEN,):
            found += connection.execute(due_query(condition, MOST - len(found))).all()
    return found


def due_query(condition: str, most: int) -> sa.Select[Any]:
    """At most `most` requests by their last day, of `IS_OPEN` or of `HAS_ENDED`."""
    chosen = sa.select(request).where(sa.text(condition))
    return chosen.order_by(request.c.due, request.c.id).limit(most)


def story(desk: Desk, name: str) -> dict[str, Any]:
    """One request: its row, decisions, and targets; texts and numbers only."""
    with desk.database.reading() as connection:
        row = request_row(connection, name)
        chosen = sa.select(decision).where(decision.c.request == name).order_by(decision.c.id)
        decisions = connection.execute(chosen).all()
        targets = sa.select(request_target).where(request_target.c.request == name)
        found = connection.execute(targets).all()
    keys = ("id", "status", "regime", "submitter", "commitment", "count", "reason", "ground")
    told = {key: getattr(row, key) for key in keys}
    told |= {"due": str(row.due), "received": str(row.received), "opendsr": OPEN_DSR[row.status]}
    return {
        "request": told,
        "decisions": [
            {"time": str(d.time), "kind": d.kind, "by": d.by, "detail": d.detail} for d in decisions
        ],
        "targets": [{"model": t.model, "state": t.state} for t in found],
    }


def batches(desk: Desk) -> list[Any]:
    """All batches, the newest first."""
    with desk.database.reading() as connection:
        return list(connection.execute(sa.select(batch).order_by(batch.c.sealed.desc())).all())


def measures(desk: Desk, name: str) -> list[dict[str, Any]]:
    """The figures of a batch's last attempt that was measured, each beside its bar."""
    chosen = sa.select(evaluation).join(batch, batch.c.id == evaluation.c.batch)
    chosen = chosen.where((batch.c.id == name) & (evaluation.c.attempt == batch.c.attempt))
    keys = ("name", "value", "low", "high", "oracle", "passed")
    with desk.database.reading() as connection:
        rows = connection.execute(chosen.order_by(evaluation.c.id)).all()
    return [{key: getattr(row, key) for key in keys} for row in rows]


def runnable(desk: Desk) -> list[str]:
    """Batches that may be run now: one of each model, and those whose worker was lost."""
    now = desk.now()
    with desk.database.reading() as connection:
        rows = connection.execute(sa.select(batch).order_by(batch.c.sealed)).all()
        held = {row.batch for row in connection.execute(sa.select(lease)) if row.until > now}
    busy = {row.model for row in rows if row.status in ("measured", "awaiting_release")}
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.status not in ("running", "queued")):
        free = row.model not in busy and row.model not in found
        if row.status in ("running", "queued", "sealed") and free:
            found[row.model] = row.id
    return [name for name in found.values() if name not in held]


def attestations(desk: Desk) -> tuple[list[Attestation], ReleaseHead]:
    """What the desk says of each weights file that it knows, and how many releases there were."""
    with desk.database.reading() as connection:
        rows = connection.execute(sa.select(artifact)).all()
    told = [
        Attestation(row.digest, row.marking, row.as_of, row.disposed is not None) for row in rows
    ]
    return told, ReleaseHead(len(entries(desk)))


def weights_of(desk: Desk, digest: str) -> Path:
    """The file of the weights of that digest."""
    chosen = sa.select(model_version.c.run).where(model_version.c.digest == digest)
    with desk.database.reading() as connection:
        run = Path(connection.execute(chosen).scalar_one())
    return next(run.rglob(f"{digest}*"))


def _key_complaints(desk: Desk) -> list[str]:
    """What is wrong with the signing keys, or will be within two weeks."""
    now = desk.now().replace(tzinfo=UTC)
    later, found = now + _KEYS_SOON, []
    try:
        keys = desk.keys
        known = keys.unverified_list()
        if known.expires <= later:
            ends = written(known.expires)
            found.append(f"The key list holds until {ends}: `curenu desk key renew`.")
        else:
            keys.list(now)
        for use in ("statement", "log"):
            if not known.valid(use, later):
                said = f"No key for this use ({use}) is valid in two weeks"
                found.append(f"{said}: `curenu desk key rotate {use}`.")
    except CurenuError as error:
        found.append(str(error))
    return found


def complaints(desk: Desk) -> list[str]:
    """A sentence for each fault of database, log, keys and weights, and for what is late."""
    found = log_complaints(desk)
    with desk.database.reading() as connection:
        found += [f"The database's guard {name} is missing or was changed: restore it."
                  for name in unguarded(connection)]  # fmt: skip
    try:
        _ = desk.vault
    except CurenuError as error:
        found.append(str(error))
    found += _key_complaints(desk)
    found += [
        f"{path} is on record as disposed of and still there: `curenu desk dispose`."
        for path in undestroyed(desk)
    ]
    today = desk.now().date()
    with desk.database.reading() as connection:
        late = sa.select(sa.func.count()).select_from(request).where(sa.text(IS_OPEN))
        urgent = connection.execute(late.where(request.c.due <= today + _SOON)).scalar_one()
        unsent = outbox.c.sent.is_(None) & (outbox.c.made < desk.now() - _SOON)
        untold = connection.execute(sa.select(outbox.c.version).where(unsent)).scalars().all()
    found += [f"Not all who have {one} were told for days: `curenu desk notify`." for one in untold]
    if urgent > MOST:
        found.append(f"{urgent} requests are late or due soon; the first {MOST} follow.")
    for row in due_requests(desk, ended=False):
        if row.due < today:
            found.append(f"The request {row.id} is late: it was due on {row.due}.")
        elif row.due - today <= _SOON:
            found.append(f"The request {row.id} is due on {row.due}.")
    with desk.database.reading() as connection:
        models = connection.execute(sa.select(model)).all()
    for one in models:
        head, faults = verify(FolderStore(Path(one.run)), head=one.head)
        found += [f"{one.name}: {fault}" for fault in faults]
        if not faults and head.hash != one.head:
            found.append(f"{one.name}: its run folder has records that the desk did not make.")
    return found
