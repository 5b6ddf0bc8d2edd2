"""A measured number with its interval, and how it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LARGE", "Figure", "number", "written"]

LARGE = 100.0
"""Above this a figure of a report says only that it is large."""


@dataclass(frozen=True)
class Figure:
    """A mean, its 95 % interval, and how many networks it is over.

    The interval is Student's t over networks; of one network it is the audit's own over
    examples, None where the audit has none.
    """

    mean: float
    interval: tuple[float, float] | None = None
    count: int = 1

    @property
    def ends(self) -> tuple[float, float]:
        """The interval; without one, the mean twice."""
        return self.interval or (self.mean, self.mean)

    @property
    def prediction(self) -> tuple[float, float] | None:
        """Where one further network falls in 95 %: mean ± t·s·√(1 + 1/n); None of one network.

        The interval of the mean, mean ± t·s/√n, is √(n + 1) times narrower.
        """
        if self.interval is None or self.count < 2:
            return None
        half = self.half * math.sqrt(self.count + 1)
        return self.mean - half, self.mean + half

    @property
    def half(self) -> float:
        """Half of the interval's length."""
        low, high = self.ends
        return (high - low) / 2


def number(value: float | None, digits: int = 3) -> str:
    """A short form of a number; a dash for none, a word for what is not finite."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}" if abs(value) >= 100 else f"{value:.{digits}f}"


def written(value: float | None, digits: int = 2) -> str:
    """A number in a report: ≫ above `LARGE`, ≪ below its negative, a dash for none."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if abs(value) > LARGE:
        return "≫" if value > 0 else "≪"
    if abs(value) > 99:
        return f"{value:.0f}"
    tiny = 0 < abs(value) < 0.5 * 10.0**-digits
    if tiny and digits > 2:
        return number(value, digits)
    return f"{0.0 if tiny or value == 0 else value:.{digits}f}"
