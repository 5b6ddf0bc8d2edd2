"""How far did the weights move, and how far are they from retrained ones?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from curenu.audits.finding import Finding, spread
from curenu.errors import BadRequest, IllPosed

__all__ = ["distance_to_oracles", "update_norm"]


def update_norm(theta: Tensor, start: Tensor, oracles: Sequence[Tensor] = ()) -> Finding:
    """|theta − theta0| of flat vectors `[d]`; the reference is the oracles' mean. Descriptive.

    Oracles of other seeds are far away in weights even where they predict alike.
    """
    expected = [_length(oracle, start) for oracle in oracles]
    reference = float(np.mean(expected)) if expected else None
    return Finding("update_norm", _length(theta, start), None, reference)


def distance_to_oracles(theta: Tensor, oracles: Sequence[Tensor]) -> Finding:
    """Mean |theta − theta_oracle|, from the nearest to the farthest; `[d]` each.

    The reference is the oracles' mean distance from each other, None if there is one.
    Raises `BadRequest` without oracles or for other shapes, `IllPosed` if not finite.
    """
    if not oracles:
        raise BadRequest("No oracle to measure to.", "one at least.")
    values = [_length(theta, oracle) for oracle in oracles]
    apart = [_length(*pair) for pair in combinations(oracles, 2)]
    reference = float(np.mean(apart)) if apart else None
    return Finding("distance", float(np.mean(values)), spread(values), reference)


def _length(theta: Tensor, other: Tensor) -> float:
    if theta.ndim != 1 or theta.shape != other.shape or theta.numel() == 0:
        raise BadRequest(
            f"Vectors {list(theta.shape)} and {list(other.shape)}.",
            "flat vectors [d] of one model.",
        )
    length = float(torch.linalg.vector_norm(theta.double() - other.double()))
    if not np.isfinite(length):
        raise IllPosed("A vector is not finite.", "a model that did not diverge.")
    return length
