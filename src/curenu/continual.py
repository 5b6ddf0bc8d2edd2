"""Learning a second task without losing the first: a quadratic penalty from single products.

Source: Butyrev, Kontes, Löffler and Mutschler, "Overcoming Catastrophic Forgetting via Hessian-free
Curvature Estimates" (2020). Differs from the paper in: the curvature along a direction is used as
it is, not spread over the coordinates; a negative one counts as zero, so the penalty never rewards
leaving; and other directions can be given a curvature of their own (`floor`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from curenu.errors import BadRequest
from curenu.operators import inner, length
from curenu.risks import EmpiricalRisk

__all__ = ["CurvaturePenalty"]


class CurvaturePenalty:
    """strength · ½ (c (v·Δ)² + floor |Δ − (v·Δ) v|²), Δ = theta − `anchor`, c = max(0, v·Hv).

    H is the Hessian of the first task's objective `risk` at `anchor` `[d]` (by default the model as
    it was given), v a unit vector: the way that the second task pulls, or has pulled. Where Δ is
    along v it is the quadratic model of what the first task loses, exactly. Two vectors are kept,
    where a Fisher matrix would keep a curvature for every weight.

        penalty = CurvaturePenalty(first, strength=10.0)
        penalty.turn(second.gradient(first.start))
        ...
        loss = second_loss(model) + penalty.loss(model)

    `turn` again, by `penalty.turn(penalty.vector_of(model) - penalty.anchor)`, follows the way
    that training takes. Raises `BadRequest` for numbers that cannot be meant.
    """

    def __init__(
        self,
        risk: EmpiricalRisk,
        anchor: Tensor | None = None,
        *,
        strength: float = 1.0,
        floor: float = 0.0,
    ) -> None:
        for name, number in (("strength", strength), ("floor", floor)):
            if not 0 <= number < math.inf:
                raise BadRequest(f"{name}={number}.", "zero or a positive number.")
        self._risk = risk
        self.anchor = risk.start if anchor is None else anchor.clone()
        risk.parameters.check(self.anchor)
        self.strength, self.floor = float(strength), float(floor)
        self.direction: Tensor | None = None
        self.curvature = 0.0

    def turn(self, direction: Tensor) -> float:
        """Measure the curvature along `direction` `[d]`, one product; v·Hv as it was found.

        Raises `BadRequest` for a direction of no length or not finite.
        """
        self._risk.parameters.check(direction)
        size = length(direction)
        if not 0 < size < math.inf:
            raise BadRequest(f"A direction of length {size}.", "a finite vector that is not zero.")
        unit = direction / size
        found = inner(unit, self._risk.hvp(self.anchor, unit))
        self.direction, self.curvature = unit, max(0.0, found)
        return found

    def value(self, theta: Tensor) -> Tensor:
        """The penalty at theta `[d]`, `[]`; raises `BadRequest` before the first `turn`."""
        unit, away = self._known(), theta - self.anchor
        along = torch.dot(unit, away)
        across = away - along * unit
        square = self.curvature * along**2 + self.floor * torch.dot(across, across)
        return 0.5 * self.strength * square

    def gradient(self, theta: Tensor) -> Tensor:
        """strength · (c (v·Δ) v + floor (Δ − (v·Δ) v)), `[d]`."""
        unit, away = self._known(), theta - self.anchor
        along = torch.dot(unit, away)
        across = away - along * unit
        return self.strength * (self.curvature * along * unit + self.floor * across)

    def loss(self, model: nn.Module) -> Tensor:
        """The penalty at the weights of `model`, `[]`, to be added to a loss and differentiated.

        `model` has the parameters that the first task's moved, under the same names.
        """
        named = dict(model.named_parameters())
        self.vector_of(model)  # the same names and shapes
        pieces = [named[name].reshape(-1) for name in self._risk.parameters.names]
        return self.value(torch.cat(pieces).to(self.anchor))

    def vector_of(self, model: nn.Module) -> Tensor:
        """What the first task's objective is a function of, `[d]`, as `model` has it.

        Raises `BadRequest` for a model without parameters of those names and shapes.
        """
        return self._risk.vector_of(model)

    def _known(self) -> Tensor:
        if self.direction is None:
            raise BadRequest("No curvature was measured.", "`turn(direction)` first.")
        return self.direction
