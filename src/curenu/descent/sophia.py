"""Sophia-G: descent whose step is a moving gradient over a moving curvature, clipped.

Source: Liu, Li, Hall, Liang and Ma, "Sophia: A Scalable Stochastic Second-Order Optimizer for
Language Model Pre-training" (ICLR 2024).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.descent.first_order import Sloped, gradient_at
from curenu.errors import IllPosed

__all__ = ["Sophia"]

_LEAST = 1e-15  # added to what is divided by: a weight without curvature takes a whole step


@dataclass(frozen=True)
class Sophia:
    """m ← b1 m + (1−b1) g and, every `every` steps, h ← b2 h + (1−b2) c, then

        theta ← theta (1 − rate·decay) − rate · clip(m / (rho·b·h + 1e-15), ±1)

    with c the squared gradient of the mean loss over the b examples of a batch, so that b·c
    estimates the diagonal of its Gauss-Newton matrix. Nothing is corrected for the start at zero.
    """

    rate: float
    betas: tuple[float, float] = (0.9, 0.95)
    rho: float = 0.04
    decay: float = 0.1
    every: int = 1

    def follow(
        self,
        start: Tensor,
        steps: Iterable[tuple[Sloped, Sloped, int]],
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        """theta `[d]` after (what is descended on, whose curvature is taken, b) of every step.

        A `mask` `[d]` of true and false keeps the rest still, to the bit: moments and decay too.
        Raises `IllPosed` when it diverges.
        """
        theta, m, h = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
        for count, (objective, curved, size) in enumerate(steps):
            if count % self.every == 0:
                squares = gradient_at(curved, theta).square_()
                h.mul_(self.betas[1]).add_(squares, alpha=1.0 - self.betas[1])
            slope = gradient_at(objective, theta)
            m.mul_(self.betas[0]).add_(slope, alpha=1.0 - self.betas[0])
            step = (m / (self.rho * size * h).add_(_LEAST)).clamp_(-1.0, 1.0)
            step.add_(theta, alpha=self.decay)
            theta.sub_(step if mask is None else step.mul_(mask), alpha=self.rate)
        if not theta.isfinite().all():
            raise IllPosed("Descent ended in NaN or Inf.", "a smaller `learning_rate`.")
        return theta
