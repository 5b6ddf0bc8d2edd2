"""Every way in which the desk refuses to act, each under its own name."""

from __future__ import annotations

from curenu.errors import BadRequest, CurenuError, RunBroken, RunBusy, RunMoved

__all__ = [
    "BarNotPassed",
    "ClockSetBack",
    "DatabaseNewer",
    "DatabaseUnavailable",
    "IllegalMove",
    "LeaseLost",
    "NotReady",
    "NotTold",
    "OnHold",
    "OtherContent",
    "OwnRequest",
    "SolveFailed",
    "TooLate",
]


class IllegalMove(BadRequest):
    """The status does not allow it: look at what may follow."""


class OwnRequest(BadRequest):
    """Who submitted a request cannot decide on it: ask somebody else."""


class OtherContent(BadRequest):
    """A request of that id is there with another content: send a new id."""


class TooLate(BadRequest):
    """The time in which this could be done is over."""


class OnHold(RunBusy):
    """A legal hold stands in the way: lift it first."""


class BarNotPassed(CurenuError, RuntimeError):
    """The result did not pass its bar: retrain."""


class LeaseLost(RunMoved):
    """Another worker has the batch: the work of this one counts for nothing."""


class SolveFailed(CurenuError, RuntimeError):
    """The erasure ended without a result: look at its log, then try it again."""


class NotTold(CurenuError, RuntimeError):
    """Somebody who has old weights could not be told: try again."""


class NotReady(RunBroken):
    """The database is older than what was released: replay first."""


class ClockSetBack(RunBroken):
    """The clock shows an earlier time than the desk has seen: set it right."""


class DatabaseNewer(RunBroken):
    """A newer curenu made this database: use that one."""


class DatabaseUnavailable(RunBroken):
    """The database took nothing: nothing of this was done."""
