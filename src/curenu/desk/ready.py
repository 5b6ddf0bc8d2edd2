"""Whether the database is as new as what was released from it."""

from __future__ import annotations

import sqlalchemy as sa

from curenu.desk.checkpoint import Checkpoint, log_faults, parse_checkpoint
from curenu.desk.home import Desk
from curenu.desk.refusals import NotReady
from curenu.desk.tables import log

__all__ = ["entries", "log_complaints", "require_ready"]


def entries(desk: Desk) -> list[bytes]:
    """The entries of the desk's log, in order."""
    with desk.database.reading() as connection:
        chosen = sa.select(log.c.entry).order_by(log.c.index)
        return [bytes(entry) for entry in connection.execute(chosen).scalars()]


def log_complaints(desk: Desk) -> list[str]:
    """What the log in the database lacks, by the heads that were exported."""
    heads: list[Checkpoint] = [parse_checkpoint(note) for note in desk.heads()]
    return log_faults(entries(desk), heads)


def require_ready(desk: Desk) -> None:
    """Raise `NotReady` for a database that was restored from before a release, or changed."""
    found = log_complaints(desk)
    if found:
        raise NotReady(
            found[0], "`curenu desk replay`, which does again what was released since the backup."
        )
