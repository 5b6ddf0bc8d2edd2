"""The state machines of requests and batches: the one place that says which move is legal.

The command line and the library ask `check_move`; the database refuses the rest by triggers that
`curenu.desk.guards` writes from the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping

from curenu.desk.refusals import IllegalMove

__all__ = [
    "BATCH", "BUSY", "DENIALS", "ENDED", "GROUNDS", "OPEN_DSR", "REQUEST", "TARGET", "check_move",
]  # fmt: skip

Moves = Mapping[str, tuple[str, ...]]

REQUEST: Moves = {
    "received": ("unverified", "pending", "duplicate", "denied", "cancelled"),
    "unverified": ("pending", "denied", "cancelled"),
    "pending": ("approved", "denied", "cancelled", "on_hold", "duplicate"),
    "approved": ("batched", "denied", "cancelled", "on_hold"),
    "batched": ("running", "on_hold"),
    "running": ("measured", "complete", "denied", "partial", "batched", "on_hold", "error"),
    "measured": ("released", "batched", "on_hold", "error"),
    "released": ("complete", "partial"),
    "on_hold": ("pending", "approved", "batched", "running", "measured", "denied"),
    "error": ("batched", "denied"),
    "partial": ("batched", "complete"),
    "complete": (),
    "denied": (),
    "cancelled": (),
    "duplicate": (),
}
"""Of each status of a request, those that may follow; the first is where every request begins.

`running -> complete` is for a request whose examples an earlier batch has erased, `running ->
denied` for one of which the model knows no example.
"""

BATCH: Moves = {
    "open": ("sealed",),
    "sealed": ("queued",),
    "queued": ("running", "sealed"),
    "running": ("measured", "queued", "rejected", "error"),
    "measured": ("awaiting_release", "rejected"),
    "awaiting_release": ("released", "rejected"),
    "rejected": ("queued",),
    "error": ("queued",),
    "released": (),
}
"""The same of a batch. `running -> queued` gives an expired lease on; `rejected -> queued` is the
retraining that follows a failed bar."""

TARGET: Moves = {
    "waiting": ("batched", "retained"),
    "batched": ("erased", "not_in_model", "failed", "waiting", "retained"),
    "failed": ("batched",),
    "erased": (),
    "not_in_model": (),
    "retained": (),
}
"""What becomes of one request on one model."""

BUSY = ("queued", "running", "measured", "awaiting_release")
"""Statuses of batches of which a model has at most one."""

ENDED = frozenset(status for status, following in REQUEST.items() if not following)

OPEN_DSR = {
    **dict.fromkeys(("received", "unverified", "pending", "approved", "on_hold"), "pending"),
    **dict.fromkeys(
        ("batched", "running", "measured", "released", "error", "partial"), "in_progress"
    ),
    "complete": "completed",
    "duplicate": "completed",
    "denied": "cancelled",
    "cancelled": "cancelled",
}
"""The status that OpenDSR 2.0 shows the sender."""

DENIALS = (
    "suspected_fraud", "insuf_verification", "no_match", "claim_not_covered",
    "outside_jurisdiction", "too_many_requests", "other",
)  # fmt: skip
"""Reasons of the Data Rights Protocol to deny a request."""

GROUNDS = ("a", "b", "c", "d", "e")
"""Letters of GDPR Art. 17(3), under which examples are kept."""

_MACHINES = {"request": REQUEST, "batch": BATCH, "target": TARGET}


def check_move(machine: str, before: str, after: str) -> None:
    """Raise `IllegalMove` unless `after` may follow `before` in "request", "batch" or "target"."""
    following = _MACHINES[machine][before]
    if after not in following:
        said = ", ".join(following) or "none: it has ended"
        raise IllegalMove(
            f"A {machine} that is {before} cannot become {after}.", f"one that may follow: {said}."
        )
