"""What a method did on an erasure, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from curenu.bench.summary import Line
from curenu.report import verdict_of

__all__ = ["verdict"]


def verdict(lines: Sequence[Line], method: str) -> str:
    """The verdict of a report on `method`, as a paragraph; `lines` are those of one erasure."""
    return verdict_of([line.model() for line in lines], method).sentence
