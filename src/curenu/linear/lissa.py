"""The inverse of a curvature times a vector, by a truncated series of products on samples."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from curenu.errors import IllPosed
from curenu.operators import Curvature, product

__all__ = ["lissa"]


def lissa(
    draw: Callable[[], Tensor | Curvature],
    gradient: Tensor,
    *,
    damping: float,
    scale: float,
    recursions: int,
) -> Tensor:
    """v/scale after v ← v + g − (H_b + damping I) v/scale from v = g, `recursions` times.

    `draw` gives H_b, one product each. If it is always the same H, with A = H + damping I,

        v/scale = (I − (I − A/scale)^(recursions + 1)) A⁻¹ g

    so an eigenvalue h of A is inverted as (1 − (1 − h/scale)^(recursions + 1))/h. With as many
    recursions as `scale`, that is about (1 − e^(−h))/h: what is below 1 is damped by about 1,
    whatever `damping` says. Two vectors beside g. Raises `IllPosed` when it is not finite,
    which h above 2 `scale` leads to. Source: Agarwal, Bullins and Hazan, Second-order stochastic
    optimization for machine learning in linear time (2017).
    """
    total = gradient.clone()
    for _ in range(recursions):
        image = product(draw(), total)
        total.mul_(1.0 - damping / scale).add_(image, alpha=-1.0 / scale).add_(gradient)
    if not total.isfinite().all():
        raise IllPosed(
            f"The recursion for the inverse diverged at scale {scale:g}.",
            "a larger scale: above half the largest eigenvalue on every sample.",
        )
    return total.div_(scale)
