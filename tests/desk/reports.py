"""A report with all that it needs, as a desk makes one: for the tests of statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curenu.desk.checkpoint import checkpoint
from curenu.desk.keys import Keys
from curenu.desk.log import Log
from curenu.desk.statement import build, entry_of, report_file, sign, with_log

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
ORIGIN = "desk.example.org/log"
WEIGHTS = b"the new weights"
DIGEST = "12" * 32


def predicate(**changes: Any) -> dict[str, Any]:
    """What a desk says of an erasure of three requests that passed its bar."""
    figures = [
        {"name": "R", "value": 1.1, "high": 1.5, "passed": True, "oracle": 1.0},
        {"name": "G", "value": 0.9, "low": 0.7, "high": 1.3, "passed": True, "oracle": 1.0},
        {"name": "membership_attack", "value": 0.51, "high": 0.55, "passed": True, "oracle": 0.5},
        {"name": "holdout_loss", "value": 0.21, "high": 0.25, "passed": True, "oracle": None},
    ]
    said = {
        "outcome": "released",
        "release": 7,
        "decided": "2026-11-27T07:30:00Z",
        "asked": {"requests": 3, "examples": 12, "commitments": ["a1" * 32, "b2" * 32, "c3" * 32]},
        "done": {
            "kind": "erased",
            "method": "stocurenu",
            "settings": "d4" * 32,
            "status": "CONVERGED",
            "before": "e5" * 32,
            "started": "2026-11-27T06:00:00Z",
            "finished": "2026-11-27T06:01:00Z",
            "results": {"erased": 2, "retained": 1, "grounds": ["b"]},
            "curenu": "0.1.0",
            "torch": "2.13.0+cpu",
        },
        "measured": {"figures": figures, "oracles": 2},
        "limits": ["approximate", "other_copies", "recipients", "clock"],
        "old_versions": [
            {"sha256": "e5" * 32, "state": "tainted", "recipients": 2, "notified": 2,
             "acknowledged": 1},
            {"sha256": "f6" * 32, "state": "disposed", "disposed": "2026-11-26T12:00:00Z"},
        ],
    }  # fmt: skip
    return said | changes


@dataclass
class Desk:
    """Keys, a log with other entries in it, and the statement that was logged and signed."""

    keys: Keys
    log: Log
    statement: dict[str, Any]
    envelope: dict[str, Any]

    @property
    def report(self) -> bytes:
        return report_file(self.envelope, self.keys.envelope())


def desk(folder: Path, sha256: str = DIGEST, **changes: Any) -> Desk:
    """A desk whose log has six entries around the one of its statement."""
    keys = Keys.create(folder / "keys", NOW)
    statement = build("digits", sha256, predicate(**changes))
    log = Log([b"one", b"two", b"three", b"four"])
    index = log.append(entry_of(statement))
    log.append(b"five")
    log.append(b"six")
    note = checkpoint(ORIGIN, len(log), log.root(), [keys.log_key(NOW)])
    logged = with_log(statement, log, index, note, keys.log_key(NOW).public_key())
    return Desk(keys, log, logged, sign(logged, [keys.statement_key(NOW)]))
