"""Backups of the database, and what is to be done again after one was restored."""

from __future__ import annotations

import sqlite3
import subprocess
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.checkpoint import parse_checkpoint
from curenu.desk.database import Database
from curenu.desk.home import Desk
from curenu.desk.journal import journal
from curenu.desk.log import Log
from curenu.desk.moving import decided, move_request, request_row
from curenu.desk.queue import seal_requests
from curenu.desk.ready import entries
from curenu.desk.refusals import DatabaseUnavailable, NotReady
from curenu.desk.tables import (
    artifact,
    checkpoint,
    log,
    model_version,
    request,
    request_target,
    vault,
)
from curenu.errors import BadRequest

__all__ = ["backup", "replay"]


def backup(desk: Desk, place: Path) -> None:
    """Copy the database to the file `place`; keys, heads and `replay` are to be kept elsewhere.

    Raises `BadRequest` if something is there, `DatabaseUnavailable` where it cannot be written.
    """
    if place.exists():
        raise BadRequest(f"{place} is already there.", "another name.")
    if not desk.database.sqlite:
        url = desk.database.url.replace("+psycopg", "")
        command = ["pg_dump", "--format=custom", f"--file={place}", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DatabaseUnavailable(f"pg_dump: {done.stderr.strip()}.", "its client tools.")
        return
    try:
        source = sqlite3.connect(desk.folder / "desk.sqlite")
        target = sqlite3.connect(place)
        with source, target:
            source.backup(target)
        source.close()
        target.close()
    except sqlite3.Error as error:
        place.unlink(missing_ok=True)
        raise DatabaseUnavailable(f"No backup was made: {error}.", "room on the disk.") from None
    Database(f"sqlite:///{place.resolve()}").check()


def replay(desk: Desk) -> list[str]:
    """Bring a restored database up to the newest exported head: the batches that are to be run.

    The log's entries are put back as they were, and the requests of those releases are sealed
    into new batches. The models' weights count as unclean until these are released. An empty list
    says that nothing was missing. Raises `NotReady` where what is needed is missing or does not
    fit the head.
    """
    heads = [parse_checkpoint(note) for note in desk.heads()]
    known = entries(desk)
    if not heads or heads[-1].size <= len(known):
        return []
    try:
        missing = journal(desk, len(known), heads[-1].size)
    except OSError as error:
        raise NotReady(
            f"{error.filename} is not there: what was released cannot be done again.",
            "the folder `replay` from its own backup.",
        ) from None
    if Log([*known, *(entry for entry, _ in missing)]).root() != heads[-1].root:
        raise NotReady(
            "The entries in `replay` are not those of the newest head.",
            "the folder `replay` from its own backup.",
        )
    return _again(desk, len(known), missing)


def _again(desk: Desk, start: int, missing: list[tuple[bytes, list[dict[str, Any]]]]) -> list[str]:
    now, made = desk.now(), []
    with desk.database.transaction(now) as connection:
        for place, (entry, requests) in enumerate(missing):
            connection.execute(log.insert().values(index=start + place, entry=entry))
            by_model: dict[str, list[str]] = {}
            for told in requests:
                if _approved(connection, told, now):
                    by_model.setdefault(told["model"], []).append(told["id"])
            for name, names in by_model.items():
                made.append(seal_requests(connection, name, sorted(names), "replay", now))
                _unclean(connection, name, start + len(missing))
        note = desk.heads()[-1]
        connection.execute(checkpoint.insert().values(size=start + len(missing), note=note))
    return made


def _approved(connection: Connection, told: dict[str, Any], now: datetime) -> bool:
    """Have the request there, approved; False where it is on its way already."""
    name = told["id"]
    known = connection.execute(sa.select(request.c.id).where(request.c.id == name)).first()
    if known is None:
        row = {key: told[key] for key in ("id", "regime", "submitter", "count", "commitment")}
        row |= {"received": datetime.fromisoformat(told["received"]), "status": "received"}
        row["due"] = date.fromisoformat(told["due"])
        connection.execute(request.insert().values(**row))
        sealed = bytes.fromhex(told["sealed"])
        connection.execute(vault.insert().values(request=name, sealed=sealed))
    target = {"request": name, "model": told["model"]}
    mine = (request_target.c.request == name) & (request_target.c.model == told["model"])
    if connection.execute(sa.select(request_target).where(mine)).first() is None:
        connection.execute(request_target.insert().values(**target, state="waiting"))
    status = request_row(connection, name).status
    if status == "received":
        move_request(connection, name, "pending")
        status = "pending"
    if status == "pending":
        decided(connection, "approve", "replay", now, request=name)
        move_request(connection, name, "approved")
    waiting = connection.execute(sa.select(request_target.c.state).where(mine)).scalar_one()
    return waiting == "waiting"


def _unclean(connection: Connection, name: str, size: int) -> None:
    chosen = sa.select(model_version.c.digest).where(model_version.c.model == name)
    mine = artifact.update().where(artifact.c.version.in_(chosen))
    connection.execute(mine.values(marking="contains_erased", as_of=size))
