"""The loss of a language model, with the logits of its target tokens in the open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses.form import Form, Reduction, widest

__all__ = ["TokenCrossEntropy", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """The target tokens of `size` examples: classes, whose they are, what they weigh, all `[m]`."""

    classes: Tensor
    owner: Tensor
    weights: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.classes)

    def weighing(self, weights: Tensor | None, like: Tensor) -> Tensor:
        """w_i of every token, times its example's where examples are weighed, `[m]`."""
        own = self.weights if weights is None else self.weights * weights[self.owner]
        return own.to(like)


@dataclass(frozen=True)
class TokenCrossEntropy(Form):
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

    outputs: Callable[[nn.Module, Any], Tensor] = None  # type: ignore[assignment]
    targets: str = "labels"
    ignore_index: int = -100
    over_tokens: Literal["mean", "sum"] = "mean"
    shift: bool = True
    reduction: Reduction = field(default="none", init=False)

    label: ClassVar[str] = "cross-entropy of target tokens"
    closed: ClassVar[bool] = True
    convex: ClassVar[bool] = True

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
        return self.each(self.logits(model, batch), self.tokens(batch))

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

    def token_counts(self, batch: Mapping[str, Any]) -> list[int]:
        """How many target tokens each example has, `[b]`."""
        return self._counts(batch).tolist()

    def tokens(self, batch: Mapping[str, Any]) -> Tokens:
        """What the logits of a batch are compared with."""
        counts = self._counts(batch)
        weights = torch.ones_like(counts, dtype=widest(counts.device))
        if self.over_tokens == "mean":
            weights = weights / counts
        owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        return Tokens(self.classes(batch), owner, weights[owner], len(counts))

    def each(self, outputs: Tensor, targets: Tokens) -> Tensor:
        """The loss of every example, `[b]`, from the logits of its tokens `[m, v]`."""
        tokens = functional.cross_entropy(outputs, targets.classes, reduction="none")
        return tokens.new_zeros(targets.size).index_add(
            0, targets.owner, tokens * targets.weights.to(tokens)
        )

    def divergence(
        self, outputs: Tensor, before: Tensor, targets: Tokens, weights: Tensor | None = None
    ) -> Tensor:
        """Σ_i Σ_t w_i KL(p_it(theta0) ‖ p_it(theta)), `[]`."""
        tokens = functional.kl_div(
            outputs.log_softmax(1),
            before.to(outputs.dtype).log_softmax(1),
            log_target=True,
            reduction="none",
        )
        return torch.dot(tokens.sum(1), targets.weighing(weights, outputs))

    def removal(
        self, outputs: Tensor, before: Tensor, targets: Tokens, weights: Tensor | None = None
    ) -> Tensor:
        """Σ (B_i − l_i) without its value at theta0: linear in the logits, `[]`."""
        moved = outputs - before
        own = moved.gather(1, targets.classes[:, None]).squeeze(1)
        tokens = own - (before.to(outputs.dtype).softmax(1) * moved).sum(1)
        return torch.dot(tokens, targets.weighing(weights, outputs))

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
