"""How far outputs moved from those of a fixed model, in the loss's own geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from curenu.losses.tokens import TokenCrossEntropy

__all__ = ["Bregman", "bregman_of"]

Head = Callable[[Tensor, Tensor, Any], Tensor]
"""(outputs, outputs at theta0, the batch) -> a sum over the batch's examples."""


@dataclass(frozen=True)
class Bregman:
    """Σ B_i and Σ (B_i − l_i) over a batch, the latter without its value at theta0.

    B_i is the Bregman divergence of the loss between outputs at theta and at theta0; the
    second is linear in the outputs. Section 3 of `docs/theory.md`.
    """

    divergence: Head
    removal: Head


def bregman_of(loss: object) -> Bregman | None:
    """That of a loss known by name or of target tokens; None for any other."""
    if isinstance(loss, TokenCrossEntropy):
        return Bregman(loss.divergence, loss.removal)
    return _NAMED.get(loss) if isinstance(loss, str) else None


def _relative_entropy(outputs: Tensor, before: Tensor, _: Any) -> Tensor:
    return functional.kl_div(
        outputs.log_softmax(1), before.log_softmax(1), log_target=True, reduction="sum"
    )


def _pull_of_classes(outputs: Tensor, before: Tensor, batch: Any) -> Tensor:
    target = functional.one_hot(batch[1], outputs.shape[1]).to(outputs.dtype)
    return ((target - before.softmax(1)) * (outputs - before)).sum()


def _squared_distance(outputs: Tensor, before: Tensor, _: Any) -> Tensor:
    return (outputs - before).square().flatten(1).mean(1).sum()


def _pull_of_values(outputs: Tensor, before: Tensor, batch: Any) -> Tensor:
    return (2.0 * (batch[1] - before) * (outputs - before)).flatten(1).mean(1).sum()


_NAMED = {
    "cross_entropy": Bregman(_relative_entropy, _pull_of_classes),
    "mse": Bregman(_squared_distance, _pull_of_values),
}
