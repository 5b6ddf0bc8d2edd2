"""Runs: a trained model, the requests made on it, and the evidence of what was done."""

from curenu.runs.screening import Screening
from curenu.runs.session import Session, SessionResult

__all__ = ["Screening", "Session", "SessionResult"]
