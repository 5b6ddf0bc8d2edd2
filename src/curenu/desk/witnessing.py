"""The log held against heads that others have, and exported for those who are to hold it so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from curenu.atomic import replace_file
from curenu.desk.checkpoint import log_faults, verify_checkpoint
from curenu.desk.forms import canonical
from curenu.desk.home import Desk
from curenu.desk.ready import entries, require_ready
from curenu.desk.tables import checkpoint
from curenu.errors import BadRequest

__all__ = ["export_log", "verify_log"]


def verify_log(desk: Desk, notes: Sequence[str] = ()) -> tuple[int, list[str]]:
    """How many entries the log has, and what is wrong with it by all heads that are known.

    These are the heads in the database, those that were exported, and `notes` from elsewhere.
    Raises `CheckpointInvalid` for one that no key of the desk's list has signed, or that is of
    another log.
    """
    with desk.database.reading() as connection:
        chosen = sa.select(checkpoint.c.note).order_by(checkpoint.c.size)
        kept = list(connection.execute(chosen).scalars())
    known = desk.keys.unverified_list().keys
    signers: list[Any] = [
        load_pem_public_key(key.public.encode()) for key in known if key.use == "log"
    ]
    heads = [verify_checkpoint(one, signers, desk.origin) for one in (*kept, *desk.heads(), *notes)]
    there = entries(desk)
    return len(there), log_faults(there, heads)


def export_log(desk: Desk, place: Path) -> int:
    """Write entries (one a line), newest head and key list into the new folder `place`.

    Returns how many entries there are. Raises `BadRequest` where something is there already or
    nothing was released yet, `NotReady` for a log that is not what was exported before.
    """
    require_ready(desk)
    heads, there = desk.heads(), entries(desk)
    if not heads:
        raise BadRequest("The log is empty.", "the first release.")
    if place.exists():
        raise BadRequest(f"{place} is already there.", "a new name.")
    try:
        place.mkdir(parents=True)
        replace_file(place / "entries.jsonl", b"".join(entry + b"\n" for entry in there))
        replace_file(place / "head.txt", heads[-1].encode())
        replace_file(place / "key-list.json", canonical(desk.keys.envelope()) + b"\n")
    except OSError as error:
        raise BadRequest(f"Cannot write {place}: {error.strerror}.", "another place.") from None
    return len(there)
