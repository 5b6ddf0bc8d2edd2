"""What people do with a request: send it in, approve, deny, extend, hold it, lift a hold."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.home import Desk, check_name
from curenu.desk.journal import drop_from_journal
from curenu.desk.moving import decided, move_request, request_row, settle, take_out
from curenu.desk.policy import REGIMES
from curenu.desk.refusals import IllegalMove, OnHold, OtherContent, OwnRequest
from curenu.desk.states import DENIALS, ENDED, GROUNDS
from curenu.desk.tables import batch_request, hold, model, request, request_target, vault
from curenu.desk.vault import SALT_BYTES, commitment, new_salt
from curenu.errors import BadRequest

__all__ = ["approve", "deny", "example_ids", "extend", "intake", "lift", "place_hold", "shred"]

MOST_IDS = 1_000_000
MOST_LETTERS = 256
_DENIABLE = ("received", "unverified", "pending", "approved", "on_hold", "error")


def intake(
    desk: Desk,
    name: str,
    *,
    identity: str,
    ids: Sequence[str],
    models: Sequence[str],
    by: str,
    regime: str = "gdpr",
    received: datetime | None = None,
) -> str:
    """Take a request in and return its status; the same again is no second request.

    `name` is a UUIDv4 that the sender chose, `identity` whom it is about, `ids` the examples that
    are to be erased from each of `models`. Raises `BadRequest` for what cannot be a request,
    `OtherContent` for an id that is there with another content.
    """
    _check(name, identity, ids, models, by, regime)
    content = json.dumps([identity, sorted(ids), sorted(models)], ensure_ascii=True)
    now = desk.now()
    received = received or now
    if received > now:
        raise BadRequest(f"It was received on {received}, which is to come.", "a time past.")
    with desk.database.transaction(now) as connection:
        known = connection.execute(sa.select(request).where(request.c.id == name)).one_or_none()
        if known is not None:
            _check_same(desk, connection, name, known.commitment, content)
            return known.status
        _check_models(connection, models)
        salt = new_salt()
        row = {"id": name, "status": "received", "regime": regime, "submitter": by}
        due = REGIMES[regime].due(received.date())
        sealed = desk.vault.seal(salt + content.encode(), name.encode())
        row |= {"commitment": commitment(content, salt), "count": len(ids), "due": due}
        connection.execute(request.insert().values(**row, received=received))
        connection.execute(vault.insert().values(request=name, sealed=sealed))
        targets = [{"request": name, "model": one, "state": "waiting"} for one in models]
        connection.execute(request_target.insert(), targets)
        decided(connection, "intake", by, now, request=name)
        move_request(connection, name, "pending")
    return "pending"


def approve(desk: Desk, name: str, by: str) -> None:
    """Approve a request; raises `OwnRequest` for who submitted it, `IllegalMove`."""
    check_name(by, "person")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = request_row(connection, name)
        if row.status == "on_hold":
            raise OnHold("The request is on hold.", "`curenu desk hold --lift`.")
        if row.status != "pending":
            raise IllegalMove(
                f"The request is {row.status}: there is nothing to approve.", "`curenu desk show`."
            )
        if row.submitter == by:
            raise OwnRequest(
                f"{by} submitted the request {name[:8]}… and cannot approve it.", "another person."
            )
        decided(connection, "approve", by, now, request=name)
        move_request(connection, name, "approved")


def deny(desk: Desk, name: str, by: str, reason: str, ground: str | None = None) -> None:
    """Deny a request for a reason of `DENIALS`, on a ground of GDPR Art. 17(3) where it has one.

    One that is on hold in a batch leaves that batch, unless its examples are erased from the
    result that waits for release: then that is to be rejected first.
    """
    check_name(by, "person")
    if reason not in DENIALS:
        raise BadRequest(f"{reason!r} is no reason to deny.", f"one of {', '.join(DENIALS)}.")
    if ground is not None and ground not in GROUNDS:
        raise BadRequest(f"{ground!r} is no ground.", f"a letter of Art. 17(3): {GROUNDS}.")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        status = request_row(connection, name).status
        if status not in _DENIABLE:
            raise IllegalMove(f"The request is {status} and cannot be denied.", "a hold first.")
        move_request(connection, name, "denied", reason=reason, ground=ground)
        take_out(connection, name, now)
        decided(connection, "deny", by, now, request=name, detail=reason)


def extend(desk: Desk, name: str, by: str) -> None:
    """Take the longer deadline, of which the person is told today; raises `TooLate`."""
    check_name(by, "person")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = request_row(connection, name)
        if row.status in ENDED:
            raise IllegalMove(f"The request is {row.status}: it has ended.", "nothing more.")
        if row.extended:
            raise BadRequest("The deadline was extended before.", "answering by it.")
        due = REGIMES[row.regime].extended(row.received.date(), now.date())
        chosen = request.update().where(request.c.id == name)
        connection.execute(chosen.values(due=due, extended=1))
        decided(connection, "extend", by, now, request=name)


def place_hold(desk: Desk, name: str, by: str) -> None:
    """Stop a request, also while its batch runs: nothing of that batch is released until lifted."""
    check_name(by, "person")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = request_row(connection, name)
        if row.status != "on_hold":
            move_request(connection, name, "on_hold", held_from=row.status)
        connection.execute(hold.insert().values(request=name, by=by, placed=now))
        decided(connection, "hold", by, now, request=name)


def lift(desk: Desk, name: str, by: str) -> None:
    """Lift all holds on a request, which goes on where its batch is."""
    check_name(by, "person")
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = request_row(connection, name)
        if row.status != "on_hold":
            raise IllegalMove("There is no hold on it.", "`curenu desk show`.")
        standing = (hold.c.request == name) & hold.c.lifted.is_(None)
        connection.execute(hold.update().where(standing).values(lifted=now))
        batched = sa.select(batch_request).where(batch_request.c.request == name)
        inside = connection.execute(batched).first() is not None
        move_request(connection, name, "batched" if inside else row.held_from)
        if inside:
            settle(connection, name)
        decided(connection, "lift", by, now, request=name)


def shred(desk: Desk, name: str, by: str) -> None:
    """Delete whom a request that has ended was about; its commitment can then not be guessed.

    To be done once no backup from before the erasure is left: it could not be brought up again.
    """
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = request_row(connection, name)
        if row.status not in ENDED:
            raise IllegalMove(f"The request is {row.status}: its ids are needed.", "its end first.")
        connection.execute(vault.delete().where(vault.c.request == name))
        decided(connection, "shred", by, now, request=name)
    drop_from_journal(desk, name)


def example_ids(desk: Desk, connection: Connection, name: str) -> list[str]:
    """The ids that a request names, out of the vault."""
    return json.loads(_unsealed(desk, connection, name)[SALT_BYTES:])[1]


def _unsealed(desk: Desk, connection: Connection, name: str) -> bytes:
    chosen = sa.select(vault.c.sealed).where(vault.c.request == name)
    sealed = connection.execute(chosen).scalar()
    if sealed is None:
        raise BadRequest(f"Whom {name[:8]}… was about was deleted.", "a new request.")
    return desk.vault.unseal(sealed, name.encode())


def _check_same(desk: Desk, connection: Connection, name: str, known: str, content: str) -> None:
    """Nothing where the request is the same, or is no longer known well enough to tell."""
    chosen = sa.select(vault.c.request).where(vault.c.request == name)
    if connection.execute(chosen).first() is None:
        return  # it has ended and was shredded: what it asked for is done
    salt = _unsealed(desk, connection, name)[:SALT_BYTES]
    if commitment(content, salt) != known:
        raise OtherContent(
            f"The request {name} is there with another content.", "a new id for a new request."
        )


def _check_models(connection: Connection, models: Sequence[str]) -> None:
    known = set(connection.execute(sa.select(model.c.name)).scalars())
    unknown = [one for one in models if one not in known]
    if unknown:
        raise BadRequest(
            f"There is no model {unknown[0]!r} here.",
            f"one of {', '.join(sorted(known)) or 'those that `curenu desk register` names'}.",
        )


def _check(
    name: str, identity: str, ids: Sequence[str], models: Sequence[str], by: str, regime: str
) -> None:
    check_name(by, "person")
    try:
        sound = str(uuid.UUID(name)) == name and uuid.UUID(name).version == 4
    except ValueError:
        sound = False
    if not sound:
        raise BadRequest("The request's id is no UUID of version 4.", "`uuidgen`, small letters.")
    if not identity.strip() or len(identity) > MOST_LETTERS or not identity.isprintable():
        raise BadRequest(
            f"The identity is empty, longer than {MOST_LETTERS} letters, or not printable.",
            "an address or a customer's number.",
        )
    if not 0 < len(ids) <= MOST_IDS or not all(0 < len(one) <= MOST_LETTERS for one in ids):
        raise BadRequest(
            f"{len(ids)} ids, or one that is empty or longer than {MOST_LETTERS} letters.",
            f"from one to {MOST_IDS:,} ids of examples.",
        )
    if len(set(ids)) < len(ids):
        raise BadRequest("An id is there twice.", "each id once.")
    if not models or len(set(models)) < len(models):
        raise BadRequest("No model is named, or one twice.", "each model once.")
    if regime not in REGIMES:
        raise BadRequest(f"{regime!r} is no law known here.", f"one of {', '.join(REGIMES)}.")
