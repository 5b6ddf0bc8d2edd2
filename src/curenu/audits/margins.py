"""Margins of many models on the same examples, checked once for every audit of ensembles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curenu.errors import BadRequest, IllPosed

__all__ = ["ensemble"]


def ensemble(
    unlearned: NDArray[np.floating], oracles: NDArray[np.floating], least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64 `[models, n]`, of the same examples and `least` models or more each.

    Raises `BadRequest` for other shapes, `IllPosed` for margins that are not finite.
    """
    found = [np.asarray(margins, dtype=np.float64) for margins in (unlearned, oracles)]
    shapes = " and ".join(str(list(margins.shape)) for margins in found)
    if any(m.ndim != 2 or m.size == 0 for m in found) or found[0].shape[1] != found[1].shape[1]:
        raise BadRequest(f"Margins {shapes}.", "[models, n] of the same examples.")
    if min(map(len, found)) < least:
        raise BadRequest(f"Margins {shapes}.", f"{least} models or more on each side.")
    for margins, side in zip(found, ("unlearned model", "oracle"), strict=True):
        broken = np.argwhere(~np.isfinite(margins))
        if len(broken):
            model, example = broken[0]
            raise IllPosed(
                f"The margin of {side} {model} on example {example} is not finite.",
                "models that did not diverge.",
            )
    return found[0], found[1]
