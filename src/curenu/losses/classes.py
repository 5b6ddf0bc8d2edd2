"""Cross-entropy between logits of classes and class numbers or probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses.form import Form, over_examples, weighted, widest

__all__ = ["CrossEntropy"]

_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True)
class CrossEntropy(Form):
    """torch's cross-entropy: outputs `[b, k, ...]`, targets `[b, ...]` or probabilities alike.

    With t the target as mass on classes (weight of the class, smoothing, probability; zero where
    it is `ignore_index`) and m = Σ_k t_k, an element's loss is m·logsumexp(z) − t·z, so

        B = m KL(softmax(z0) ‖ softmax(z)),   B − l = (t − m softmax(z0))·(z − z0) + constant,

    and its Hessian in z is m (diag(p) − ppᵀ). The mean is over targets that are not ignored, by
    the weight of their class; over positions for probabilities, as torch has it.
    """

    weight: Tensor | None = field(default=None, compare=False)
    label_smoothing: float = 0.0
    ignore_index: int = -100

    label: ClassVar[str] = "cross-entropy"
    closed: ClassVar[bool] = True
    convex: ClassVar[bool] = True
    of_classes: ClassVar[bool] = True

    def check_outputs(self, outputs: Tensor, targets: Any) -> None:
        if outputs.ndim < 2:
            raise BadRequest(
                f"Outputs {list(outputs.shape)} where logits of classes [b, k, ...] are needed.",
                "a model with one logit a class, or `nn.BCEWithLogitsLoss()` for one logit.",
            )
        if not isinstance(targets, Tensor):
            raise BadRequest(
                f"Targets are a {type(targets).__name__}.", "a tensor of classes [b, ...]."
            )
        if targets.is_floating_point():
            fits = targets.shape == outputs.shape
        else:
            fits = targets.shape == (outputs.shape[0], *outputs.shape[2:])
        if not fits:
            raise BadRequest(
                f"Targets {targets.dtype} {list(targets.shape)} beside logits "
                f"{list(outputs.shape)}: classes are along axis 1.",
                f"whole-number classes {[outputs.shape[0], *outputs.shape[2:]]}, or "
                f"probabilities {list(outputs.shape)}.",
            )
        if self.weight is not None and self.weight.shape != (outputs.shape[1],):
            raise BadRequest(
                f"{len(self.weight)} class weights for {outputs.shape[1]} classes.",
                "one weight a class.",
            )

    def check_targets(self, targets: Any, width: int | None) -> None:
        if not isinstance(targets, Tensor) or targets.is_floating_point():
            if isinstance(targets, Tensor) and (targets < 0).any():
                raise BadRequest("A target probability is negative.", "probabilities from 0 to 1.")
            if self.ignore_index >= 0:
                raise BadRequest(
                    f"Probabilities as targets, and ignore_index={self.ignore_index}, which leaves "
                    "out a class number.",
                    "whole-number classes, or the loss without `ignore_index`.",
                )
            return
        if targets.dtype not in _WHOLE:
            raise BadRequest(
                f"Targets of {targets.dtype}.", "whole-number classes: `targets.long()`."
            )
        own = targets[targets != self.ignore_index]
        if own.numel() and (int(own.min()) < 0 or (width and int(own.max()) >= width)):
            worst = int(own.min()) if int(own.min()) < 0 else int(own.max())
            ignored = f", or {self.ignore_index} for a target to be left out"
            raise BadRequest(
                f"A target is class {worst}, and there are {width} of them.",
                f"classes 0 to {(width or 1) - 1}{ignored}.",
            )

    def counts(self, targets: Any) -> Tensor | None:
        if self.reduction != "mean" or targets.is_floating_point():
            return None
        own = targets != self.ignore_index
        if self.weight is None:
            return over_examples(own.to(widest(own.device)))
        return over_examples(self._of_class(targets, own).to(widest(own.device)))

    def count(self, outputs: Tensor) -> float:
        return float(outputs[0].numel() // outputs.shape[1]) if self.reduction == "mean" else 1.0

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        return over_examples(self._torch(outputs, targets, "none"))

    def sum(self, outputs: Tensor, targets: Any, weights: Tensor | None = None) -> Tensor:
        if weights is None:
            return self._torch(outputs, targets, "sum")
        return super().sum(outputs, targets, weights)

    def divergence(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        kl = functional.kl_div(
            outputs.log_softmax(1),
            before.to(outputs.dtype).log_softmax(1),
            log_target=True,
            reduction="none",
        ).sum(1)
        mass = self._mass(targets, outputs)
        return weighted(over_examples(kl if mass is None else mass * kl), weights)

    def removal(
        self, outputs: Tensor, before: Tensor, targets: Any, weights: Tensor | None = None
    ) -> Tensor:
        before = before.to(outputs.dtype)
        moved = outputs - before
        target = self._target(targets, outputs)
        aim = target - target.sum(1, keepdim=True) * before.softmax(1)
        return weighted(over_examples((aim * moved).sum(1)), weights)

    def criterion(self) -> nn.Module | None:
        return nn.CrossEntropyLoss()

    def _torch(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        floating = targets.is_floating_point()
        return functional.cross_entropy(
            outputs,
            targets.to(outputs.dtype) if floating else targets.long(),
            weight=None if self.weight is None else self.weight.to(outputs),
            reduction=reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def _of_class(self, targets: Tensor, own: Tensor) -> Tensor:
        """The weight of every target's class, zero where it is ignored."""
        assert self.weight is not None
        places = targets.long().masked_fill(~own, 0)
        return self.weight.to(targets.device)[places] * own

    def _target(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """t `[b, k, ...]`."""
        classes = outputs.shape[1]
        if targets.is_floating_point():
            t = targets.to(outputs.dtype)
        else:
            own = targets != self.ignore_index
            places = targets.long().masked_fill(~own, 0)
            one = torch.zeros_like(outputs).scatter_(1, places.unsqueeze(1), 1.0)
            t = one * own.unsqueeze(1)
        if self.label_smoothing:
            there = t.sum(1, keepdim=True) if not targets.is_floating_point() else 1.0
            t = (1.0 - self.label_smoothing) * t + there * self.label_smoothing / classes
        if self.weight is not None:
            t = t * self.weight.to(outputs).view(-1, *[1] * (outputs.ndim - 2))
        return t

    def _mass(self, targets: Tensor, outputs: Tensor) -> Tensor | None:
        """m `[b, ...]`; None where it is 1 everywhere."""
        plain = self.weight is None and not targets.is_floating_point()
        if plain:
            own = targets != self.ignore_index
            return None if own.all() else own.to(outputs.dtype)
        return self._target(targets, outputs).sum(1)
