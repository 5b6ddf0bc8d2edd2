"""Every error this package raises, grouped by what the reader can do about it."""

from __future__ import annotations

__all__ = [
    "BadRequest",
    "CurenuError",
    "IllPosed",
    "MissingData",
    "NotConverged",
    "NotDeterministic",
    "RunBroken",
    "SourceNotTrusted",
    "UnsupportedModel",
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


class NotDeterministic(CurenuError, RuntimeError):
    """The same parameters and examples gave two different losses: remove the randomness."""


class IllPosed(CurenuError, ArithmeticError):
    """The numbers are not finite or the problem has no solution: inspect data and weights."""


class NotConverged(CurenuError, RuntimeError):
    """A solver ended without its tolerance: raise the budget or loosen the tolerance."""


class RunBroken(CurenuError, RuntimeError):
    """A run folder is corrupt, foreign or in use: restore it or start a new one."""


class SourceNotTrusted(CurenuError, PermissionError):
    """A run names code that nobody vouched for, or that changed: read it, then allow it."""


class MissingData(CurenuError, FileNotFoundError):
    """A data set is not on this machine: install the named package or name its folder."""
