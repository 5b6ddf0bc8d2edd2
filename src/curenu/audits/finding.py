"""What an audit says: a number, how sure it is, and what it is to be compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["Finding", "mean_interval"]


@dataclass(frozen=True)
class Finding:
    """One audited quantity.

    `interval` holds the value with 95 % confidence over examples, `reference` is the
    oracles' value of the same quantity, `per_example` `[n]` what the value is the mean of.
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


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean of `values` `[n]`, normal approximation over examples."""
    mean = float(values.mean())
    if len(values) < 2:
        return (mean, mean)
    half = float(stats.norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return (mean - half, mean + half)
