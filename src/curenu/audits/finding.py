"""What an audit says: a number, how sure it is, and what it is to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["FEW", "Finding", "mean_interval", "share_finding", "share_interval", "spread"]

FEW = 10
"""Values below which no normal approximation is made."""


@dataclass(frozen=True)
class Finding:
    """One audited quantity.

    `interval` holds the value with 95 % confidence over examples, None where there are too few
    to tell; `reference` is the oracles' value of the same quantity, `per_example` `[n]` what
    the value is the mean of.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    reference: float | None = None
    per_example: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Name, value, interval and reference; not the examples."""
        return {
            "name": self.name,
            "value": self.value,
            "interval": self.interval,
            "reference": self.reference,
        }


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """95 % interval of the mean of `values` `[n]` by Student's t; None for a single value."""
    if len(values) < 2:
        return None
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return (mean - half, mean + half)


def share_interval(mean: float, count: float) -> tuple[float, float]:
    """95 % interval of the mean of `count` independent values in [0, 1], whatever they are.

    Clopper's and Pearson's for `count` trials of which `count mean`, not rounded, succeeded:
    values between 0 and 1 have no more spread than those at the ends. Never of no width.
    """
    right = min(max(mean, 0.0), 1.0) * count
    low = 0.0 if right <= 0 else float(stats.beta.ppf(0.025, right, count - right + 1))
    high = 1.0 if right >= count else float(stats.beta.ppf(0.975, right + 1, count - right))
    return (low, high)


def share_finding(
    name: str, values: NDArray[np.float64], reference: float | None = None
) -> Finding:
    """The mean of values `[n]` in [0, 1] as a finding, with an interval that has a width.

    Student's t, and `share_interval` for a few values or where all are equal: what did not
    vary here may elsewhere.
    """
    mean = float(values.mean())
    usual = mean_interval(values)
    if usual is None or len(values) < FEW or np.ptp(values) == 0.0:
        return Finding(name, mean, share_interval(mean, len(values)), reference, values)
    interval = (max(0.0, usual[0]), min(1.0, usual[1]))
    return Finding(name, mean, interval, reference, values)


def spread(values: Sequence[float]) -> tuple[float, float] | None:
    """From the least to the largest of what oracles give; None for one, which has no spread."""
    return (min(values), max(values)) if len(values) > 1 else None
