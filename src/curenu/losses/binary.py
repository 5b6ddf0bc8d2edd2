"""Cross-entropy of independent yes-or-no targets, each with a logit of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses.form import over_examples, weighted
from curenu.losses.values import _OfValues

__all__ = ["BinaryCrossEntropy"]


@dataclass(frozen=True)
class BinaryCrossEntropy(_OfValues):
    """torch's binary cross-entropy with logits: outputs and targets in [0, 1] of one shape.

    An element's loss is m·softplus(z) − t·z with t = w v y and m = w (v y + 1 − y), w `weight` and
    v `pos_weight`, so B = m (softplus(z) − softplus(z0) − σ(z0)(z − z0)) and
    B − l = (t − m σ(z0))(z − z0) + constant.
    """

    weight: Tensor | None = field(default=None, compare=False)
    pos_weight: Tensor | None = field(default=None, compare=False)

    label: ClassVar[str] = "binary cross-entropy"
    closed: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def check_targets(self, targets: Any, width: int | None) -> None:
        if not isinstance(targets, Tensor) or not targets.is_floating_point():
            kind = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
            raise BadRequest(f"Targets of {kind}.", "values from 0 to 1: `targets.float()`.")
        if targets.numel() and not (float(targets.min()) >= 0 and float(targets.max()) <= 1):
            raise BadRequest("A target is outside [0, 1].", "values from 0 to 1.")

    def check_outputs(self, outputs: Tensor, targets: Any) -> None:
        super().check_outputs(outputs, targets)
        weight = self.weight
        if weight is not None and weight.ndim == outputs.ndim and weight.shape[0] > 1:
            raise BadRequest(
                f"`weight` {list(weight.shape)} weighs the members of one batch.",
                "`weights=` with one number an example, or a weight an output.",
            )

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        return over_examples(
            functional.binary_cross_entropy_with_logits(
                outputs,
                targets.to(outputs.dtype),
                weight=None if self.weight is None else self.weight.to(outputs),
                pos_weight=None if self.pos_weight is None else self.pos_weight.to(outputs),
                reduction="none",
            )
        )

    def divergence(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        before = before.to(outputs.dtype)
        rise = functional.softplus(outputs) - functional.softplus(before)
        b = self._masses(targets, outputs)[1] * (rise - before.sigmoid() * (outputs - before))
        return weighted(over_examples(b), weights)

    def removal(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        before = before.to(outputs.dtype)
        t, m = self._masses(targets, outputs)
        return weighted(over_examples((t - m * before.sigmoid()) * (outputs - before)), weights)

    def criterion(self) -> nn.Module | None:
        return nn.BCEWithLogitsLoss()

    def _masses(self, targets: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """t and m, in the outputs' shape."""
        y = targets.to(outputs.dtype)
        one = torch.ones((), dtype=outputs.dtype, device=outputs.device)
        positive = one if self.pos_weight is None else self.pos_weight.to(outputs)
        weight = one if self.weight is None else self.weight.to(outputs)
        return weight * positive * y, weight * (positive * y + 1.0 - y)
