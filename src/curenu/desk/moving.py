"""Moves of requests and batches inside a transaction; each is checked before it is written."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.refusals import IllegalMove
from curenu.desk.states import ENDED, REQUEST, check_move
from curenu.desk.tables import (
    batch,
    batch_request,
    decision,
    hold,
    request,
    request_target,
)
from curenu.errors import BadRequest

__all__ = [
    "batch_row",
    "decided",
    "move_batch",
    "move_request",
    "request_row",
    "settle",
    "take_out",
]

_STAGE = {
    "open": "batched", "sealed": "batched", "queued": "batched", "running": "running",
    "measured": "measured", "awaiting_release": "measured", "rejected": "measured",
    "error": "error", "released": "released",
}  # fmt: skip
_ORDER = ("approved", "error", "batched", "running", "measured", "released", "complete")
_ASIDE = {"denied", "cancelled", "duplicate", "on_hold", "partial", "error"}


def request_row(connection: Connection, name: str) -> Any:
    """The request; raises `BadRequest` where there is none."""
    found = connection.execute(sa.select(request).where(request.c.id == name)).one_or_none()
    if found is None:
        raise BadRequest(f"There is no request {name}.", "an id that `curenu desk list` shows.")
    return found


def batch_row(connection: Connection, name: str) -> Any:
    """The batch; raises `BadRequest` where there is none."""
    found = connection.execute(sa.select(batch).where(batch.c.id == name)).one_or_none()
    if found is None:
        raise BadRequest(f"There is no batch {name}.", "an id that `curenu desk batch` shows.")
    return found


def move_request(connection: Connection, name: str, after: str, **more: Any) -> None:
    """Move a request, with other columns of its row; raises `IllegalMove`."""
    _move(connection, "request", request, request_row(connection, name), after, more)


def move_batch(connection: Connection, name: str, after: str, **more: Any) -> None:
    """Move a batch and what is in it; raises `IllegalMove`."""
    _move(connection, "batch", batch, batch_row(connection, name), after, more)
    for one in _requests(connection, name):
        settle(connection, one)


def decided(
    connection: Connection, kind: str, by: str, time: datetime, *,
    request: str | None = None, batch: str | None = None, detail: str | None = None,
) -> None:  # fmt: skip
    """Put on record who decided what, and when."""
    row = {"request": request, "batch": batch, "kind": kind, "by": by, "detail": detail}
    connection.execute(decision.insert().values(**row, time=time))


def settle(connection: Connection, name: str) -> None:
    """Bring a request to the status that follows from what became of it on each model."""
    row = request_row(connection, name)
    if row.status in ENDED or row.status == "on_hold":
        return
    wanted = _wanted(connection, name)
    if wanted == row.status:
        return
    for step in _path(row.status, wanted):
        more = {"reason": "no_match"} if step == "denied" else {}
        move_request(connection, name, step, **more)


def take_out(connection: Connection, name: str, now: datetime) -> None:
    """Have a denied request leave its batches, and lift its holds; raises `IllegalMove`."""
    inside = (batch_request.c.request == name) & batch_request.c.outcome.is_(None)
    joined = sa.select(batch.c.status).join(batch_request, batch_request.c.batch == batch.c.id)
    for status in connection.execute(joined.where(inside)).scalars():
        if status in ("measured", "awaiting_release"):
            raise IllegalMove(
                "Its examples are erased from a result that waits for release.",
                "`curenu desk release --reject`, then denying it.",
            )
    connection.execute(batch_request.update().where(inside).values(outcome="retained"))
    target = (request_target.c.request == name) & request_target.c.state.in_(("waiting", "batched"))
    connection.execute(request_target.update().where(target).values(state="retained"))
    standing = (hold.c.request == name) & hold.c.lifted.is_(None)
    connection.execute(hold.update().where(standing).values(lifted=now))


def _wanted(connection: Connection, name: str) -> str:
    where = batch_request.c.request == request_target.c.request
    joined = sa.outerjoin(
        request_target, batch_request, where & (batch_request.c.model == request_target.c.model)
    ).outerjoin(batch, batch.c.id == batch_request.c.batch)
    chosen = sa.select(request_target.c.state, batch.c.status).select_from(joined)
    rows = connection.execute(chosen.where(request_target.c.request == name)).all()
    states = {row.state for row in rows}
    if states == {"not_in_model"}:
        return "denied"
    if states <= {"erased", "not_in_model", "retained"}:
        return "complete"
    stages = [
        "approved" if state == "waiting" else _STAGE[status]
        for state, status in rows
        if state in ("waiting", "batched", "failed")
    ]
    return min(stages, key=_ORDER.index)


def _path(before: str, after: str) -> list[str]:
    """The shortest legal way, past no status that only a person chooses."""
    ways: deque[list[str]] = deque([[before]])
    seen = {before}
    while ways:
        way = ways.popleft()
        for step in REQUEST[way[-1]]:
            if step == after:
                return [*way[1:], step]
            if step not in seen and step not in _ASIDE:
                seen.add(step)
                ways.append([*way, step])
    raise IllegalMove(f"A request that is {before} cannot become {after}.", "`curenu desk show`.")


def _requests(connection: Connection, name: str) -> list[str]:
    chosen = sa.select(batch_request.c.request).where(batch_request.c.batch == name)
    return list(connection.execute(chosen.order_by(batch_request.c.request)).scalars())


def _move(
    connection: Connection, machine: str, table: sa.Table, row: Any, after: str, more: Any
) -> None:
    check_move(machine, row.status, after)
    same = (table.c.id == row.id) & (table.c.status == row.status)
    done = connection.execute(table.update().where(same).values(status=after, **more))
    if done.rowcount != 1:
        raise IllegalMove(f"The {machine} {row.id} was moved by another.", "looking again.")
