"""What is kept beside the database so that a backup from before an erasure can be brought up.

`replay/` holds, for each entry of the log, its bytes, and for each request of that release a sealed
file with all that is needed to erase again. It belongs on other storage than the backups.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.atomic import replace_file
from curenu.desk.home import Desk
from curenu.desk.tables import batch_request, request, vault

__all__ = ["drop_from_journal", "journal", "keep_for_replay"]


def keep_for_replay(
    desk: Desk, connection: Connection, batch: str, index: int, entry: bytes
) -> None:
    """Write down the release that becomes entry `index`, before it is committed."""
    folder = desk.folder / "replay"
    folder.mkdir(exist_ok=True, mode=0o700)
    chosen = sa.select(request, vault.c.sealed, batch_request.c.model).join(
        batch_request, batch_request.c.request == request.c.id
    )
    joined = chosen.join(vault, vault.c.request == request.c.id)
    for stale in folder.glob(f"{index:010d}*"):  # of a release that was not committed
        stale.unlink()
    for row in connection.execute(joined.where(batch_request.c.batch == batch)):
        content = {
            "id": row.id, "regime": row.regime, "submitter": row.submitter, "count": row.count,
            "commitment": row.commitment, "received": row.received.isoformat(),
            "due": row.due.isoformat(), "model": row.model, "sealed": bytes(row.sealed).hex(),
        }  # fmt: skip
        token = desk.vault.seal(json.dumps(content).encode(), b"replay")
        replace_file(folder / f"{index:010d}-{row.id}.sealed", token, private=True)
    replace_file(folder / f"{index:010d}.entry", entry)


def journal(desk: Desk, start: int, size: int) -> list[tuple[bytes, list[dict[str, Any]]]]:
    """Of the entries from `start` to `size` - 1: their bytes, and the requests of each."""
    folder, found = desk.folder / "replay", []
    for index in range(start, size):
        sealed = sorted(folder.glob(f"{index:010d}-*.sealed"))
        told = [json.loads(desk.vault.unseal(one.read_bytes(), b"replay")) for one in sealed]
        found.append(((folder / f"{index:010d}.entry").read_bytes(), told))
    return found


def drop_from_journal(desk: Desk, name: str) -> None:
    """Delete what is kept of one request."""
    for one in Path(desk.folder / "replay").glob(f"*-{name}.sealed"):
        one.unlink()
