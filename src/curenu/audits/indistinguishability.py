"""Is the model as close to a retrained one as two retrained ones are to each other?"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from curenu.audits.divergence import jensen_shannon
from curenu.audits.finding import Finding
from curenu.audits.outputs import Outputs
from curenu.errors import BadRequest

__all__ = ["indistinguishability", "noise_floor", "tells_apart"]


def noise_floor(oracles: list[Outputs]) -> float:
    """Mean divergence between two oracles, over all pairs; needs two."""
    if len(oracles) < 2:
        raise BadRequest("One oracle has no spread.", "two oracles or more.")
    pairs = combinations(oracles, 2)
    return float(np.mean([jensen_shannon(a.logits, b.logits).mean() for a, b in pairs]))


def tells_apart(floor: float) -> bool:
    """Whether a noise floor is more than the rounding of two equal sets of logits.

    The divergence of logits a relative 2^−23 apart, as float32 rounds, is about 1e-13.
    """
    return floor > 1e-12


def indistinguishability(name: str, distance: Finding) -> Finding:
    """R = mean JSD(model, oracle) / mean JSD(oracle, oracle'); 1 is the aim.

    `distance` is the model's `divergence`, its reference the oracles' `noise_floor`; the
    interval is its own over that. The oracles' seeds must not be the model's own: one that
    shares its initialisation is closer than any retraining could count on. Raises
    `BadRequest` for oracles that are identical, or without a reference.
    """
    floor = distance.reference or 0.0
    if not tells_apart(floor):
        raise BadRequest("The oracles are identical.", "oracles of different seeds.")
    interval = distance.interval and (distance.interval[0] / floor, distance.interval[1] / floor)
    return Finding(name, distance.value / floor, interval, 1.0)
