"""Every error this package raises, grouped by what the reader can do about it."""

from __future__ import annotations

__all__ = [
    "BadRequest",
    "Cancelled",
    "CurenuError",
    "Disposed",
    "IllPosed",
    "MissingData",
    "NotConverged",
    "NotDeterministic",
    "NotProven",
    "RunBroken",
    "RunBusy",
    "RunMoved",
    "SourceNotTrusted",
    "Suspicious",
    "UnsupportedModel",
    "UserCodeFailed",
]


class CurenuError(Exception):
    """Base of all errors here: what is wrong, and what to try.

    `problem` says what was found and where, `remedy` what to do next; `str()` joins them.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} Try: {self.remedy}"


class BadRequest(CurenuError, ValueError):
    """The arguments cannot be meant: correct the call."""


class UnsupportedModel(CurenuError, TypeError):
    """The model or loss lacks what the method needs: change the model or the method."""


class UserCodeFailed(CurenuError, RuntimeError):
    """A loss, data set, model or callback of the caller's failed: mend it; `__cause__` says how."""


class NotDeterministic(CurenuError, RuntimeError):
    """The same parameters and examples gave two different losses: remove the randomness."""


class IllPosed(CurenuError, ArithmeticError):
    """The numbers are not finite or the problem has no solution: inspect data and weights."""


class NotConverged(CurenuError, RuntimeError):
    """A solver ended without its tolerance: raise the budget or loosen the tolerance."""


class NotProven(CurenuError, ValueError):
    """Signed evidence does not hold: do not rely on it, and ask who gave it to you."""


class Disposed(BadRequest):
    """What is asked for needs weights or ids that were disposed of: ask for something else."""


class Cancelled(CurenuError, RuntimeError):
    """The caller's progress function ended the work: nothing was written."""


class RunBroken(CurenuError, RuntimeError):
    """A run is corrupt, foreign or cannot be written: restore it or start a new one."""


class RunBusy(CurenuError, RuntimeError):
    """Another process is writing to the run: wait until it has ended."""


class RunMoved(RunBusy):
    """Another writer was first, so this work was done on a state that is over: do it again."""


class SourceNotTrusted(CurenuError, PermissionError):
    """A run names code that nobody vouched for, or that changed: read it, then allow it."""


class Suspicious(CurenuError, PermissionError):
    """A request looks made to do harm: ask who made it, before anything is erased."""


class MissingData(CurenuError, FileNotFoundError):
    """A data set is not on this machine: install the named package or name its folder."""
