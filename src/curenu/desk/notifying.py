"""Those who received a version are told that it saw erased examples; what they answer is kept.

A release puts one row a version into the outbox. It counts as sent once all who have that version
were told, so that a program that was killed tells some of them twice and nobody never.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.home import Desk
from curenu.desk.refusals import IllegalMove, NotTold
from curenu.desk.tables import model_version, outbox, recipient
from curenu.errors import BadRequest

__all__ = ["Notice", "acknowledge", "pending", "post", "send", "told"]

_LONGEST = 60  # seconds that the program has for one notice
_OVER = ("tainted", "disposed")


@dataclass(frozen=True)
class Notice:
    """What a recipient is to be told: `weights` are not to be used any more, `instead` are."""

    recipient: str
    model: str
    weights: str
    instead: str | None


def post(connection: Connection, version: str, now: datetime) -> None:
    """Put into the outbox that a version is not to be used, where somebody received it."""
    chosen = sa.select(recipient.c.id).where(recipient.c.version == version)
    if connection.execute(chosen).first() is not None:
        connection.execute(outbox.insert().values(kind="tainted", version=version, made=now))


def pending(desk: Desk) -> list[Notice]:
    """What nobody has been told yet, the oldest version first."""
    other = model_version.alias("other")
    same = (other.c.model == model_version.c.model) & (other.c.state == "current")
    chosen = (
        sa.select(recipient.c.name, model_version.c.model, recipient.c.version, other.c.digest)
        .join(model_version, model_version.c.digest == recipient.c.version)
        .outerjoin(other, same)
        .where(model_version.c.state.in_(_OVER) & recipient.c.notified.is_(None))
        .order_by(model_version.c.made, recipient.c.name)
    )
    with desk.database.reading() as connection:
        return [Notice(*row) for row in connection.execute(chosen)]


def send(desk: Desk, program: Sequence[str]) -> list[Notice]:
    """Give each notice that is pending to `program`, as JSON on its standard input.

    A notice counts as told once the program ended with 0. Raises `NotTold` at the end where it did
    not for some; the others are told all the same.
    """
    done, failed = [], []
    for notice in pending(desk):
        fault = _given(program, notice)
        if fault is None:
            told(desk, notice.recipient, notice.weights)
            done.append(notice)
        else:
            failed.append(f"{notice.recipient}: {fault}")
    if failed:
        raise NotTold(
            f"{len(failed)} of {len(done) + len(failed)} could not be told; {failed[0]}.",
            "the program by hand on one notice, then `curenu desk notify` again.",
        )
    return done


def told(desk: Desk, name: str, version: str | None = None) -> int:
    """Put on record that the recipient `name` was told; of how many versions.

    Raises `BadRequest` where there is nothing to tell them, of `version` where it is given.
    """
    return _mark(desk, name, version, "notified")


def acknowledge(desk: Desk, name: str, version: str | None = None) -> int:
    """Put on record that the recipient `name` has answered; of how many versions.

    Raises `IllegalMove` before they were told, `BadRequest` where nothing is open.
    """
    return _mark(desk, name, version, "acknowledged")


def _mark(desk: Desk, name: str, version: str | None, column: str) -> int:
    now = desk.now()
    over = sa.select(model_version.c.digest).where(model_version.c.state.in_(_OVER))
    mine = (recipient.c.name == name) & recipient.c.version.in_(over)
    if version is not None:
        mine &= recipient.c.version == version
    open_ones = sa.select(recipient).where(mine & recipient.c[column].is_(None))
    with desk.database.transaction(now) as connection:
        rows = connection.execute(open_ones).all()
        if column == "acknowledged" and any(row.notified is None for row in rows):
            raise IllegalMove(
                f"{name} was not told yet of {_untold(rows)}.", "`curenu desk notify --told`."
            )
        if not rows:
            raise BadRequest(
                f"Nothing is open for a recipient {name!r}.", "a name that `desk notify` shows."
            )
        numbers = [row.id for row in rows]
        chosen = recipient.update().where(recipient.c.id.in_(numbers))
        connection.execute(chosen.values({column: now}))
        for digest in sorted({row.version for row in rows}):
            _close(connection, digest, now)
    return len(rows)


def _close(connection: Connection, version: str, now: datetime) -> None:
    """Have the outbox's row count as sent once nobody is left to be told."""
    left = (recipient.c.version == version) & recipient.c.notified.is_(None)
    if connection.execute(sa.select(recipient.c.id).where(left)).first() is None:
        mine = (outbox.c.version == version) & outbox.c.sent.is_(None)
        connection.execute(outbox.update().where(mine).values(sent=now))


def _untold(rows: Sequence[Any]) -> str:
    return next(row.version[:12] + "…" for row in rows if row.notified is None)


def _given(program: Sequence[str], notice: Notice) -> str | None:
    """Why the program did not take the notice, or None."""
    try:
        done = subprocess.run(
            list(program), input=json.dumps(asdict(notice)), text=True, timeout=_LONGEST,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the program took longer than {_LONGEST} seconds"
    except OSError as error:
        raise BadRequest(
            f"{program[0]} cannot be run: {error.strerror}.", "a program on this machine."
        ) from None
    return f"the program ended with {done.returncode}" if done.returncode else None
