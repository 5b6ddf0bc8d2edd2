"""Batches: sealed by rule, leased to one worker at a time, and committed by it alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.home import Desk
from curenu.desk.models import model_row, policy_of, settings_digest
from curenu.desk.moving import batch_row, decided, move_batch, settle
from curenu.desk.policy import Policy
from curenu.desk.ready import require_ready
from curenu.desk.refusals import IllegalMove, LeaseLost, OnHold
from curenu.desk.requests import example_ids
from curenu.desk.states import BUSY
from curenu.desk.tables import (
    artifact,
    batch,
    batch_request,
    evaluation,
    hold,
    lease,
    log,
    model,
    model_version,
    request,
    request_target,
)
from curenu.errors import BadRequest, RunMoved

__all__ = [
    "LEASE",
    "Order",
    "commit",
    "fail",
    "renew",
    "retrain",
    "seal",
    "seal_due",
    "seal_requests",
    "take",
]

LEASE = timedelta(seconds=60)
"""How long a worker has a batch without renewing; it renews at a third of that."""


@dataclass(frozen=True)
class Order:
    """A batch that a worker has: its lease's `fence`, and all that the solve needs to know.

    `requests` holds example ids and is never written anywhere.
    """

    batch: str
    attempt: int
    fence: int
    run: str
    head: str
    way: str
    policy: Policy
    requests: dict[str, list[str]]


def seal(desk: Desk, name: str, by: str = "rule") -> str:
    """Seal the approved requests of the model `name` into a batch and return its id."""
    now = desk.now()
    with desk.database.transaction(now) as connection:
        model_row(connection, name)
        waiting = _waiting(connection, name)
        if not waiting:
            raise BadRequest(
                f"No approved request waits for {name}.", "`curenu desk list`, then approving."
            )
        return seal_requests(connection, name, [row.id for row in waiting], by, now)


def seal_due(desk: Desk) -> list[str]:
    """Seal what the models' rules say is due, and return the ids of the new batches."""
    now, made = desk.now(), []
    with desk.database.transaction(now) as connection:
        for row in connection.execute(sa.select(model)).all():
            waiting = _waiting(connection, row.name)
            if not waiting:
                continue
            oldest, due = min(w.received for w in waiting), min(w.due for w in waiting)
            if policy_of(row).due_for_sealing(oldest, len(waiting), due, now):
                made.append(
                    seal_requests(connection, row.name, [w.id for w in waiting], "rule", now)
                )
    return made


def take(desk: Desk, name: str, holder: str) -> Order:
    """Lease the batch `name`, which runs from then on; the next attempt begins.

    Raises `LeaseLost` while another worker has it, `OnHold`, `NotReady` for a restored database,
    and `IllegalMove` for a batch that has nothing to run or whose model is busy with another.
    """
    now = desk.now()
    require_ready(desk)
    with desk.database.transaction(now) as connection:
        row = batch_row(connection, name)
        fence = _lease(connection, name, holder, now)
        _check_holds(connection, name)
        if row.status == "running":  # its worker was killed, or its lease ran out
            move_batch(connection, name, "queued")
        elif row.status in ("sealed", "error"):
            _check_free(connection, row)
            move_batch(connection, name, "queued")
        move_batch(connection, name, "running", attempt=row.attempt + 1)
        found = model_row(connection, row.model)
        wanted = {one: example_ids(desk, connection, one) for one in _members(connection, name)}
        policy = policy_of(found)
        return Order(
            name, row.attempt + 1, fence, found.run, found.head, row.way, policy, wanted
        )  # fmt: skip


def renew(desk: Desk, order: Order) -> None:
    """Keep the lease; raises `LeaseLost` where another worker has it by now."""
    now = desk.now()
    with desk.database.transaction(now) as connection:
        _check_fence(connection, order)
        chosen = lease.update().where(lease.c.batch == order.batch)
        connection.execute(chosen.values(until=now + LEASE))


def commit(desk: Desk, order: Order, found: dict[str, Any]) -> str:
    """Put on record what the solve found, in one transaction, and return the batch's status.

    Raises `LeaseLost` for a worker whose lease another has taken, `RunMoved` where the model has
    moved on since the solve began, and `OnHold`: then nothing of it is kept.
    """
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = batch_row(connection, order.batch)
        _check_fence(connection, order)
        _check_holds(connection, order.batch)
        if model_row(connection, row.model).head != found["base"]:
            raise RunMoved("The model's ledger moved on since.", "running the batch again.")
        if set(_members(connection, order.batch)) != set(found["outcomes"]):
            raise RunMoved("A request left the batch since.", "running the batch again.")
        _put_outcomes(connection, order.batch, found["outcomes"])
        connection.execute(lease.delete().where(lease.c.batch == order.batch))
        if "status" not in found:
            move_batch(connection, order.batch, "rejected", why="nothing_left")
            return "rejected"
        figures = [
            one | {"batch": order.batch, "attempt": order.attempt, "passed": int(one["passed"])}
            for one in found["figures"]
        ]
        if figures:
            connection.execute(evaluation.insert(), figures)
        move_batch(connection, order.batch, "measured")
        return _judge(desk, connection, row, order, found, now)


def fail(desk: Desk, order: Order, why: str) -> None:
    """Put on record that the attempt ended without a result; nothing where the lease is lost."""
    now = desk.now()
    with desk.database.transaction(now) as connection:
        try:
            _check_fence(connection, order)
        except LeaseLost:
            return
        connection.execute(lease.delete().where(lease.c.batch == order.batch))
        move_batch(connection, order.batch, "error", why=why)


def retrain(desk: Desk, name: str, by: str) -> None:
    """Have a rejected batch done by training anew without its examples."""
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = batch_row(connection, name)
        if row.status not in ("rejected", "error") or row.why == "nothing_left":
            raise IllegalMove(
                f"The batch is {row.status}: there is nothing to retrain for.",
                "`curenu desk batch`.",
            )
        _check_free(connection, row)
        move_batch(connection, name, "queued", way="retrain", why=None)
        decided(connection, "retrain", by, now, batch=name)


def _judge(
    desk: Desk, connection: Connection, row: Any, order: Order, found: dict[str, Any], now: datetime
) -> str:
    """Whether the result may wait for its release, by status and bar; a candidate if it may."""
    figures = found["figures"]
    good = order.way == "retrain" or (len(figures) == 4 and all(f["passed"] for f in figures))
    if not found["granted"] or not good:
        why = "bar_not_passed" if found["granted"] else "no_result"
        move_batch(connection, order.batch, "rejected", why=why)
        return "rejected"
    made = {"digest": found["after"], "model": row.model, "parent": found["before"]}
    made |= {"kind": "retrained" if order.way == "retrain" else "erased", "state": "candidate"}
    place = desk.attempt_folder(order.batch, order.attempt) / "run"
    made |= {"batch": order.batch, "run": str(place.resolve()), "head": found["head"], "made": now}
    made["settings"] = settings_digest(order.policy)
    connection.execute(model_version.insert().values(**made))
    size = connection.execute(sa.select(sa.func.count()).select_from(log)).scalar_one()
    known = {"digest": found["after"], "version": found["after"], "marking": "unknown"}
    connection.execute(artifact.insert().values(**known, as_of=size))
    move_batch(connection, order.batch, "awaiting_release")
    return "awaiting_release"


def seal_requests(
    connection: Connection, name: str, requests: list[str], by: str, now: datetime
) -> str:
    """A sealed batch of those requests of the model `name`, inside a transaction; its id."""
    made = str(uuid.uuid4())
    connection.execute(batch.insert().values(id=made, model=name, status="open"))
    rows = [{"batch": made, "request": one, "model": name} for one in requests]
    connection.execute(batch_request.insert(), rows)
    chosen = (request_target.c.model == name) & request_target.c.request.in_(requests)
    connection.execute(request_target.update().where(chosen).values(state="batched"))
    move_batch(connection, made, "sealed", sealed=now)
    decided(connection, "seal", by, now, batch=made)
    return made


def _waiting(connection: Connection, name: str) -> list[Any]:
    """Approved requests of a model that are in no batch of it; those on hold are not approved."""
    chosen = sa.select(request).join(request_target, request_target.c.request == request.c.id)
    waits = (request_target.c.model == name) & (request_target.c.state == "waiting")
    approved = request.c.status.in_(("approved", "batched"))
    return list(connection.execute(chosen.where(waits & approved).order_by(request.c.due)).all())


def _lease(connection: Connection, name: str, holder: str, now: datetime) -> int:
    known = connection.execute(sa.select(lease).where(lease.c.batch == name)).one_or_none()
    if known is not None and known.until > now:
        raise LeaseLost(
            f"The worker {known.holder} has this batch until {known.until} UTC.", "waiting for it."
        )
    chosen = sa.select(batch.c.attempt).where(batch.c.id == name)
    fence = connection.execute(chosen).scalar_one() + 1
    connection.execute(lease.delete().where(lease.c.batch == name))
    connection.execute(
        lease.insert().values(batch=name, fence=fence, holder=holder, until=now + LEASE)
    )
    return fence


def _check_fence(connection: Connection, order: Order) -> None:
    chosen = sa.select(lease.c.fence).where(lease.c.batch == order.batch)
    if connection.execute(chosen).scalar() != order.fence:
        raise LeaseLost(
            "Another worker has taken this batch since, or has done it: this result is not kept.",
            "nothing; `curenu desk batch` shows what became of it.",
        )


def _check_holds(connection: Connection, name: str) -> None:
    standing = sa.select(hold.c.id).join(batch_request, batch_request.c.request == hold.c.request)
    if connection.execute(
        standing.where((batch_request.c.batch == name) & hold.c.lifted.is_(None))
    ).first():
        raise OnHold("A request of this batch is on hold.", "`curenu desk hold --lift`.")


def _check_free(connection: Connection, row: Any) -> None:
    same = (batch.c.model == row.model) & batch.c.status.in_(BUSY) & (batch.c.id != row.id)
    busy = connection.execute(sa.select(batch.c.id).where(same)).scalar()
    if busy is not None:
        raise IllegalMove(
            f"{row.model} is busy with the batch {busy}.", "releasing or rejecting that one first."
        )


def _put_outcomes(connection: Connection, name: str, outcomes: dict[str, str]) -> None:
    """Settle the requests that this batch has nothing to erase for."""
    for one in _members(connection, name):
        if outcomes[one] == "erased":
            continue
        inside = (batch_request.c.batch == name) & (batch_request.c.request == one)
        connection.execute(batch_request.update().where(inside).values(outcome=outcomes[one]))
        row = connection.execute(sa.select(batch_request).where(inside)).one()
        target = (request_target.c.request == one) & (request_target.c.model == row.model)
        state = "erased" if outcomes[one] == "already" else outcomes[one]
        connection.execute(request_target.update().where(target).values(state=state))
        settle(connection, one)


def _members(connection: Connection, name: str) -> list[str]:
    chosen = sa.select(batch_request.c.request).where(
        (batch_request.c.batch == name) & batch_request.c.outcome.is_(None)
    )
    return list(connection.execute(chosen.order_by(batch_request.c.request)).scalars())
