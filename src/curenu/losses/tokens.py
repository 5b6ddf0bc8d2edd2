"""The loss of a language model, with the logits of its target tokens in the open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest

__all__ = ["TokenCrossEntropy"]


@dataclass(frozen=True)
class TokenCrossEntropy:
    """Cross-entropy of an example's target tokens, for items that are mappings.

    l_i = Σ_{target tokens t of i} w_i · −log p_it, with w_i = 1 for `over_tokens="sum"` and
    1/(number of targets of i) for `"mean"`: an example's weight depends on nothing else in
    its batch. `outputs` (model, batch) -> logits `[b, t, v]`; `batch[targets]` holds token
    ids `[b, t]`, of which `ignore_index` are no targets. With `shift` the logits at place t
    predict the token at t + 1, as in transformers; without it, the one at t.

    Unlike a plain callable on (model, batch) it shows its logits, so that the anchored
    objective is a divergence between tokens' distributions and Gauss-Newton products exist.
    Raises `BadRequest` for logits or targets of another shape, or an example without target.
    """

    outputs: Callable[[nn.Module, Any], Tensor]
    targets: str = "labels"
    ignore_index: int = -100
    over_tokens: Literal["mean", "sum"] = "mean"
    shift: bool = True

    def __post_init__(self) -> None:
        if not callable(self.outputs):
            raise BadRequest(
                f"outputs is a {type(self.outputs).__name__}.",
                "a callable (model, batch) -> logits [b, t, v].",
            )
        if self.over_tokens not in ("mean", "sum"):
            raise BadRequest(f"over_tokens={self.over_tokens!r}.", "'mean' or 'sum'.")

    def __call__(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """The loss of every example, `[b]`."""
        return self.each(self.logits(model, batch), batch)

    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """Logits of the target tokens alone, `[m, v]`, example by example."""
        made = self.outputs(model, batch)
        targets = self._targets(batch)
        wide = targets.shape[1] + self.shift
        if made.ndim != 3 or made.shape[:2] != (len(targets), wide):
            raise BadRequest(
                f"Logits {list(made.shape)} for targets {[len(targets), wide]}.",
                f"`outputs` that gives logits [b, t, v] beside {self.targets!r} [b, t].",
            )
        places = (targets != self.ignore_index).flatten().nonzero().squeeze(1)
        return made[:, : targets.shape[1]].flatten(0, 1)[places]

    def classes(self, batch: Mapping[str, Any]) -> Tensor:
        """The target tokens, `[m]`, in the order of `logits`."""
        targets = self._targets(batch)
        return targets[targets != self.ignore_index]

    def counts(self, batch: Mapping[str, Any]) -> list[int]:
        """How many target tokens each example has, `[b]`."""
        return self._counts(batch).tolist()

    def each(self, logits: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The loss of every example, `[b]`, from `logits` `[m, v]`."""
        tokens = functional.cross_entropy(logits, self.classes(batch), reduction="none")
        counts = self._counts(batch)
        owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        return tokens.new_zeros(len(counts)).index_add(
            0, owner, tokens * self._weights(batch, tokens.dtype)
        )

    def divergence(self, logits: Tensor, before: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Σ_i Σ_t w_i KL(p_it(theta0) ‖ p_it(theta)), `[]`."""
        tokens = functional.kl_div(
            logits.log_softmax(1), before.log_softmax(1), log_target=True, reduction="none"
        )
        return torch.dot(tokens.sum(1), self._weights(batch, logits.dtype))

    def removal(self, logits: Tensor, before: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Σ (B_i − l_i) without its value at theta0: linear in the logits, `[]`."""
        moved = logits - before
        own = moved.gather(1, self.classes(batch)[:, None]).squeeze(1)
        tokens = own - (before.softmax(1) * moved).sum(1)
        return torch.dot(tokens, self._weights(batch, logits.dtype))

    def _targets(self, batch: Mapping[str, Any]) -> Tensor:
        targets = batch.get(self.targets)
        if not isinstance(targets, Tensor) or targets.ndim != 2 or targets.is_floating_point():
            raise BadRequest(
                f"The items hold no token ids [t] under {self.targets!r}.",
                "`targets=` naming the entry that does.",
            )
        return targets[:, 1:] if self.shift else targets

    def _counts(self, batch: Mapping[str, Any]) -> Tensor:
        counts = (self._targets(batch) != self.ignore_index).sum(1)
        if not counts.all():
            raise BadRequest(
                "An example has no target token.",
                f"dropping it, or longer items: every target is {self.ignore_index}.",
            )
        return counts

    def _weights(self, batch: Mapping[str, Any], dtype: torch.dtype) -> Tensor:
        """w_i of every target token, `[m]`."""
        counts = self._counts(batch)
        weights = torch.ones_like(counts, dtype=dtype)
        if self.over_tokens == "mean":
            weights = weights / counts
        return weights.repeat_interleave(counts)
