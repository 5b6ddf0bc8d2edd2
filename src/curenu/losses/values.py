"""Losses of real values: squared error and Huber's, over the elements of an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses.form import Form, over_examples, weighted

__all__ = ["Huber", "SquaredError"]


@dataclass(frozen=True)
class _OfValues(Form):
    """Outputs and targets of one shape `[b, ...]`; the mean is over all elements."""

    def check_outputs(self, outputs: Tensor, targets: Any) -> None:
        if not isinstance(targets, Tensor) or outputs.shape != targets.shape:
            shape = list(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise BadRequest(
                f"Outputs {list(outputs.shape)} and targets {shape} differ in shape.",
                "targets of the outputs' shape (`targets[:, None]` for one output): the loss "
                "never broadcasts.",
            )

    def check_targets(self, targets: Any, width: int | None) -> None:
        if isinstance(targets, Tensor) and not targets.is_floating_point():
            raise BadRequest(f"Targets of {targets.dtype}.", "real values: `targets.float()`.")

    def count(self, outputs: Tensor) -> float:
        return float(max(1, outputs[0].numel())) if self.reduction == "mean" else 1.0


@dataclass(frozen=True)
class SquaredError(_OfValues):
    """l = Σ (z − y)² over an example's elements; B = Σ (z − z0)²."""

    label: ClassVar[str] = "squared error"
    closed: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        return over_examples((outputs - targets.to(outputs.dtype)).square())

    def divergence(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        return weighted(over_examples((outputs - before).square()), weights)

    def removal(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        pulled = 2.0 * (targets.to(outputs.dtype) - before) * (outputs - before)
        return weighted(over_examples(pulled), weights)

    def criterion(self) -> nn.Module | None:
        return nn.MSELoss()


@dataclass(frozen=True)
class Huber(_OfValues):
    """Huber's loss: half the square up to `delta`, linear beyond (times `delta`).

    With `smooth` torch's smooth L1: the same divided by `delta`.
    """

    delta: float = 1.0
    smooth: bool = False

    label: ClassVar[str] = "Huber's loss"
    convex: ClassVar[bool] = True

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        targets = targets.to(outputs.dtype)
        if self.smooth:
            return over_examples(
                functional.smooth_l1_loss(outputs, targets, reduction="none", beta=self.delta)
            )
        return over_examples(
            functional.huber_loss(outputs, targets, reduction="none", delta=self.delta)
        )
