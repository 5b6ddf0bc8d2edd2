"""Which of many quantities a value depends on, given those already known: ranks of neighbours.

Source: Azadkia and Chatterjee, "A simple measure of conditional dependence" (Annals of Statistics,
2021), equations 2.1 and 2.2 and the selection FOCI.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["dependence", "select"]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def dependence(value: Vector, features: Matrix, given: Matrix | None = None) -> float:
    """T(Y, Z | X) of `value` `[m]` on `features` `[m, q]` given `given` `[m, p]`.

    With R_i the rank of Y_i, N(i) the nearest neighbour of i in X and M(i) that in (X, Z):

        Σ (min(R_i, R_M) − min(R_i, R_N)) / Σ (R_i − min(R_i, R_N))

    and without X, L_i = #{Y_j ≥ Y_i}: Σ (m min(R_i, R_M) − L_i²) / Σ L_i (m − L_i). Near 0 where Y
    tells nothing more of Z, near 1 where Z settles it; 0 where X settles Y or Y is constant.
    """
    own = None if given is None else _distances(given)
    return _coefficient(value, own, _distances(features))


def select(value: Vector, features: Matrix, limit: int) -> list[int]:
    """Columns of `features` `[m, q]` that `value` `[m]` depends on, the most telling first.

    The one of the largest T(Y, Z | those before) is added until none is above 0 or `limit` are
    found. Columns are brought to one scale; constant ones are never chosen.
    """
    spread = features.std(0)
    free = [column for column in range(features.shape[1]) if spread[column] > 0]
    scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1.0)
    chosen: list[int] = []
    known: Matrix | None = None
    while free and len(chosen) < limit:
        apart = {column: _distances(scaled[:, [column]]) for column in free}
        found = [_coefficient(value, known, apart[column]) for column in free]
        best = int(np.argmax(found))
        if not found[best] > 0:
            break
        column = free.pop(best)
        chosen.append(column)
        known = apart[column] if known is None else known + apart[column]
    return chosen


def _coefficient(value: Vector, known: Matrix | None, more: Matrix) -> float:
    ranks = rankdata(value, method="max")
    together = more if known is None else known + more
    beside = np.minimum(ranks, ranks[_nearest(together)])
    if known is None:
        above = rankdata(-value, method="max")
        gained = (len(value) * beside - above**2).sum()
        possible = (above * (len(value) - above)).sum()
    else:
        before = np.minimum(ranks, ranks[_nearest(known)])
        gained, possible = (beside - before).sum(), (ranks - before).sum()
    return float(gained / possible) if possible > 0 else 0.0


def _distances(points: Matrix) -> Matrix:
    """Squared distances `[m, m]`, the diagonal infinite."""
    apart = np.square(points[:, None, :] - points[None, :, :]).sum(-1)
    np.fill_diagonal(apart, np.inf)
    return apart


def _nearest(apart: Matrix) -> NDArray[np.int64]:
    return apart.argmin(1)
