"""SIMU: Sophia on the few units that carry what goes, all other weights held.

Source: Agarwal, Pamnani and Hakkani-Tur, "SIMU: Selective Influence Machine Unlearning" (NeurIPS
2025 workshop, arXiv 2510.07822). Differs from the paper in: units are those of every linear layer
that moves, there of the MLPs of a transformer (name them by `only=`); their attribution to D_f is
taken from one gradient of its mean loss, not example by example; `share` has no default there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.methods.soul import SOUL
from curenu.risks import Units, combined
from curenu.settings import UpToOne
from curenu.status import Status

__all__ = ["SIMU"]


@dataclass(frozen=True)
class SIMU(SOUL):
    """`SOUL` through a mask of units u with a_u ≥ `share` · max a of their layer.

    a_u = |w_u·∇_{w_u} L_f + b_u ∂L_f/∂b_u|, which is the mean over D_f of the unit's value before
    its activation times the loss's derivative by it. What is masked keeps its bits. Cost: that of
    `SOUL`, and a gradient of D_f.

    Raises `UnsupportedModel` where nothing that moves is the weight of a linear layer.
    """

    share: UpToOne = 0.5

    def plan(self, problem: ErasureProblem) -> Plan:
        """Those of `SOUL`, one gradient of the forget set and the mask."""
        base = super().plan(problem)
        return Plan(
            base.examples + problem.forget.size, vectors=base.vectors + 1, forward=base.forward
        )

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: find the units, then move them alone."""
        units = Units(problem.retain, linear=True)
        with problem.retain.meter.measure() as spent:
            mask, chosen, total = self._mask(problem, units)
            theta = self.moved(problem, generator, mask)
        note = f"{chosen} of {total} units of {len(units.layers)} linear layers move"
        return Erasure(theta, Status.SCHEDULE_DONE, spent(), notes=(note,))

    def _mask(self, problem: ErasureProblem, units: Units) -> tuple[Tensor, int, int]:
        """(true where theta may move `[d]`, units chosen, units)."""
        lost = combined([(1.0, problem.forget, None)], weight_decay=0.0)
        pulls = lost.gradient(problem.start).mul_(problem.start)
        mask = torch.zeros_like(pulls, dtype=torch.bool)
        chosen = total = 0
        for layer in units.layers:
            places = units.of_layer(layer)
            score = torch.stack([pulls[place].sum().abs() for place in places])
            take = (score >= self.share * score.max()) & (score > 0)
            for unit in take.nonzero().flatten().tolist():
                mask[places[unit]] = True
            chosen, total = chosen + int(take.sum()), total + len(places)
        return mask, chosen, total
