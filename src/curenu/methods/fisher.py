"""Fisher: noise in the weights, large where the retain set does not feel it.

Source: Golatkar, Achille and Soatto, "Eternal Sunshine of the Spotless Net: Selective Forgetting
in Deep Networks" (CVPR 2020). Differs from the paper in: the covariance is a F⁻¹, as in its
published code, where the paper derives a multiple of F^(−1/2); F is the empirical Fisher (true
labels) and its small entries are damped relatively to their mean, not clipped at a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import IllPosed
from curenu.risks import squared_gradients
from curenu.settings import Positive, Settings
from curenu.status import Status

__all__ = ["Fisher"]


@dataclass(frozen=True)
class Fisher(Settings):
    """theta0 + N(0, a (F_r + damping · mean(F_r))⁻¹), F_r the diagonal empirical Fisher.

    a is `noise`, in units of the loss: the noise raises the mean loss on D_r by about a/2 for
    every parameter whose Fisher is above the damping. Cost: one gradient of every example of
    D_r.

    Raises `UnsupportedModel` for items that are mappings, `IllPosed` where F_r is zero.
    """

    noise: Positive = 1e-6
    damping: Positive = 0.1

    def plan(self, problem: ErasureProblem) -> Plan:
        """One pass over the retain set, three vectors beside gradients of single examples."""
        return Plan(examples=problem.retain.size, vectors=3)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by noise."""
        with problem.retain.meter.measure() as spent:
            fisher = squared_gradients(problem.retain, problem.start)
            damped = fisher.add_(self.damping * fisher.mean())
            if not damped.all():
                raise IllPosed(
                    "All gradients of the retain set are zero: its Fisher information is none.",
                    "a method without Fisher information.",
                )
            drawn = torch.randn(fisher.shape, generator=generator, dtype=fisher.dtype)
            theta = problem.start + drawn.to(fisher.device) * (self.noise / damped).sqrt()
        return Erasure(theta, Status.SINGLE_STEP, spent())
