"""What audits look at: logits and targets, never a model or a method."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from curenu.errors import BadRequest

__all__ = ["Outputs", "Split"]


@dataclass(frozen=True)
class Outputs:
    """Logits `[n, k]` of one model and classes `[n]` on one set of examples."""

    logits: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or self.targets.shape != self.logits.shape[:1]:
            raise BadRequest(
                f"Logits {list(self.logits.shape)} and targets {list(self.targets.shape)}.",
                "logits [n, classes] and classes [n]: audits are of classifiers.",
            )
        if self.targets.numel() == 0 or self.targets.is_floating_point():
            raise BadRequest("No examples, or targets that are no classes.", "a classifier's.")


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
