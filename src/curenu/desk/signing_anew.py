"""A report whose key has expired or was revoked is signed again, from what the log holds of it."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

from curenu.desk.checkpoint import checkpoint as signed_head
from curenu.desk.faults import KeyExpired, KeyRevoked
from curenu.desk.home import Desk
from curenu.desk.log import Log
from curenu.desk.ready import entries, require_ready
from curenu.desk.statement import sign, verify, with_log

__all__ = ["signed_today"]


def signed_today(desk: Desk, envelope: dict[str, Any], index: int) -> dict[str, Any]:
    """The envelope of entry `index` if it holds now; the same statement signed anew if not.

    Raises `NotReady` where the log is not what was exported: nothing of it is signed. `KeyExpired`
    where the key list is to be issued anew first.
    """
    now = desk.now().replace(tzinfo=UTC)
    keys = desk.keys
    listed = keys.list(now)
    try:
        verify(envelope, listed, now)
        return envelope
    except (KeyExpired, KeyRevoked):
        require_ready(desk)
    kept = entries(desk)
    log, key = Log(kept), keys.log_key(now)
    note = signed_head(desk.origin, len(log), log.root(), [key])
    proven = with_log(json.loads(kept[index]), log, index, note, key.public_key())
    return sign(proven, [keys.statement_key(now)])
