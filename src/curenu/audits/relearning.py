"""Does forgotten knowledge come back faster than a retrained model learns it?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curenu.audits.finding import Finding, spread
from curenu.errors import BadRequest, IllPosed

__all__ = ["relearning", "steps_to_recover"]

Curve = Sequence[tuple[float, float]]


def relearning(taught: str, curve: Curve, oracles: Sequence[Curve], level: float) -> list[Finding]:
    """Head start and steps to recover, from curves of (step, forget accuracy).

    "relearning `taught`": the area between the curve and the oracles' mean curve over the
    length of both, an accuracy; 0 is the aim, above it the model remembers. "recovery
    `taught`": steps until accuracy `level`, that of the trained model, is back, at most
    those taken; aim at the oracles'. Intervals are from the least to the largest oracle.

    Raises `BadRequest` for curves of other steps or none and a level that is no accuracy,
    `IllPosed` if not finite.
    """
    if not oracles:
        raise BadRequest("No oracle's curve.", "one at least, of the same training.")
    steps, own = _points(curve)
    others = []
    for other in oracles:
        also, accuracies = _points(other)
        if not np.array_equal(also, steps):
            raise BadRequest("Curves were looked at after different steps.", "the same steps.")
        others.append(accuracies)
    length = steps[-1] - steps[0]
    areas = [float(np.trapezoid(own - other, steps) / length) for other in others]
    slow = [steps_to_recover(other, level) for other in oracles]
    value = steps_to_recover(curve, level)
    return [
        Finding(f"relearning {taught}", float(np.mean(areas)), spread(areas), 0.0),
        Finding(f"recovery {taught}", value, None, float(np.mean(slow))),
    ]


def steps_to_recover(curve: Curve, level: float) -> float:
    """Steps until the accuracy first reaches `level`, between points by a straight line.

    A curve that never does has the number of its last step: a lower bound.
    """
    if not 0.0 <= level <= 1.0:
        raise BadRequest(f"level={level}.", "an accuracy, from 0 to 1.")
    steps, accuracies = _points(curve)
    reached = np.flatnonzero(accuracies >= level)
    if len(reached) == 0:
        return float(steps[-1])
    first = int(reached[0])
    if first == 0:
        return float(steps[0])
    low, high = accuracies[first - 1], accuracies[first]
    share = (level - low) / (high - low)
    return float(steps[first - 1] + share * (steps[first] - steps[first - 1]))


def _points(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.asarray(curve, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise BadRequest("A curve of fewer than two points.", "(step, accuracy), two or more.")
    if not np.isfinite(points).all():
        raise IllPosed("A curve is not finite.", "a smaller rate of relearning.")
    if (np.diff(points[:, 0]) <= 0).any():
        raise BadRequest("Steps do not rise.", "points in the order of training.")
    return points[:, 0], points[:, 1]
