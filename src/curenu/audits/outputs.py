"""What audits look at: logits and targets, never a model or a method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from curenu.errors import BadRequest, IllPosed

__all__ = ["SETS", "Outputs", "Split", "require_same_examples"]

SETS = {"f": "the forget set", "r": "the retain set", "t": "the test set"}
"""What the letters of the metrics stand for."""


@dataclass(frozen=True)
class Outputs:
    """Logits `[n, k]` of one model and classes `[n]` on one set of examples.

    `of` names the set in errors. Raises `BadRequest` for other shapes and for targets that are
    not among the k classes, `IllPosed` for logits that are not finite: no audit can say
    anything of a model that answers NaN.
    """

    logits: Tensor
    targets: Tensor
    of: str = field(default="the outputs", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or self.targets.shape != self.logits.shape[:1]:
            raise BadRequest(
                f"Logits {list(self.logits.shape)} and targets {list(self.targets.shape)}.",
                "logits [n, classes] and classes [n]: audits are of classifiers.",
            )
        if self.targets.numel() == 0 or self.targets.is_floating_point():
            raise BadRequest("No examples, or targets that are no classes.", "a classifier's.")
        classes = self.logits.shape[1]
        if classes < 2:
            raise BadRequest("Logits of one class.", "two or more: `Task.decided` makes them.")
        strange = (self.targets < 0) | (self.targets >= classes)
        if strange.any():
            first = int(strange.nonzero()[0])
            raise BadRequest(
                f"Target {int(self.targets[first])} of example {first} of {self.of} is none of "
                f"the {classes} classes, 0 to {classes - 1}.",
                "leaving out examples that training ignores; audits count every one.",
            )
        broken = ~self.logits.isfinite().all(1)
        if broken.any():
            raise IllPosed(
                f"Logits of {int(broken.sum())} examples of {self.of} are not finite, first of "
                f"example {int(broken.nonzero()[0])}.",
                "a model that did not diverge.",
            )

    def chosen(self, which: Tensor) -> Outputs:
        """Those at positions, or where a mask is true."""
        return replace(self, logits=self.logits[which], targets=self.targets[which])


@dataclass(frozen=True)
class Split:
    """One model's outputs on the forget set, the retain set and the test set."""

    forget: Outputs
    retain: Outputs
    test: Outputs

    @property
    def parts(self) -> dict[str, Outputs]:
        """By the letters of the metrics: f, r, t."""
        return {"f": self.forget, "r": self.retain, "t": self.test}


def require_same_examples(outputs: Outputs, others: Iterable[Outputs]) -> None:
    """Raise `BadRequest` unless all are of the same examples and classes, one other at least."""
    others = list(others)
    if not others:
        raise BadRequest("Nothing to compare with.", "the outputs of one oracle or more.")
    for other in others:
        shapes = outputs.logits.shape, other.logits.shape
        if shapes[0] != shapes[1] or not torch.equal(outputs.targets, other.targets):
            raise BadRequest(
                f"Logits {list(shapes[0])} of {outputs.of} and {list(shapes[1])} of {other.of} "
                "are of different examples.",
                "the same ones, in the same order.",
            )
