"""What every loss gives: values an example, divergences from an anchor, rules for its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from curenu.errors import UnsupportedModel

__all__ = ["Form", "Reduction", "over_examples", "weighted", "widest"]

Reduction = Literal["mean", "sum", "none"]


@dataclass(frozen=True)
class Form:
    """A loss as a function of a model's outputs `[b, ...]` and the targets of b examples.

    l_i is the sum over an example's elements. Training minimised Σ_i l_i / Σ_i c_i + decay, with
    c_i what torch's `reduction="mean"` divides by: elements, or weights of classes (`counts`),
    and 1 for `"sum"` and `"none"`. B_i is the Bregman divergence of l_i between outputs and those
    at the anchor, and what is removed, B_i − l_i, is linear in the outputs:

        B_i = l_i(z) − l_i(z0) − l_i'(z0)·(z − z0),   B_i − l_i = −l_i'(z0)·(z − z0) + constant.

    Here they are found by differentiating `sum` with respect to the outputs, which is right for
    any loss; a subclass in closed form overrides them. Section 3 of `docs/theory.md`.
    """

    reduction: Reduction = "mean"

    label: ClassVar[str] = "loss"
    closed: ClassVar[bool] = False
    """Whether divergence and curvature in the outputs are known formulas."""
    convex: ClassVar[bool] = False
    """Whether it is convex in the outputs, so that Gauss-Newton products have no negative part."""
    of_classes: ClassVar[bool] = False
    """Whether outputs are logits `[b, k, ...]` of classes along axis 1."""

    def check_outputs(self, outputs: Tensor, targets: Any) -> None:
        """Raise `BadRequest` when outputs and targets of the same examples do not fit."""

    def check_targets(self, targets: Any, width: int | None) -> None:
        """Raise `BadRequest` when targets cannot be meant, beside outputs `[b, width, ...]`."""

    def counts(self, targets: Any) -> Tensor | None:
        """c_i `[b]` in float64 where it may differ between examples; None where it is `count`."""
        return None

    def count(self, outputs: Tensor) -> float:
        """c_i where it is the same for all."""
        return 1.0

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        """l_i, `[b]`; `UnsupportedModel` if the loss only comes summed."""
        raise UnsupportedModel(
            "The loss of single examples is needed, and this one comes summed or averaged.",
            '"cross_entropy", or a loss that returns one value per example.',
        )

    def sum(self, outputs: Tensor, targets: Any, weights: Tensor | None = None) -> Tensor:
        """Σ_i w_i l_i, `[]`; w_i = 1 without `weights` `[b]`."""
        return weighted(self.each(outputs, targets), weights)

    def divergence(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        """Σ_i w_i B_i, `[]`, with `before` the outputs at the anchor."""
        slope, there = self._slope(before, targets, weights)
        moved = outputs - before
        return self.sum(outputs, targets, weights) - there - (slope * moved).sum()

    def removal(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        """Σ_i w_i (B_i − l_i) less its value at the anchor, `[]`: linear in the outputs."""
        return -(self._slope(before, targets, weights)[0] * (outputs - before)).sum()

    def criterion(self) -> nn.Module | None:
        """Torch's loss with the same curvature in the outputs, for K-FAC; None if there is none."""
        return None

    def _slope(self, before: Tensor, targets: Any, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Σ w_i l_i' and Σ w_i l_i at the anchor's outputs."""
        with torch.enable_grad():
            at = before.detach().requires_grad_()
            value = self.sum(at, targets, weights)
            (slope,) = torch.autograd.grad(value, at)
        return slope, value.detach()


def widest(device: torch.device) -> torch.dtype:
    """The widest floating type that the device computes in: float64, float32 on Apple's cards."""
    return torch.float32 if device.type == "mps" else torch.float64


def over_examples(elements: Tensor) -> Tensor:
    """The sum over all axes but the first, `[b]`."""
    return elements.flatten(1).sum(1) if elements.ndim > 1 else elements


def weighted(each: Tensor, weights: Tensor | None) -> Tensor:
    """Σ_i w_i each_i, `[]`."""
    return each.sum() if weights is None else torch.dot(each, weights.to(each))
