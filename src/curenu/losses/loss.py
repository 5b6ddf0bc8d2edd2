"""The loss as a sum over a batch, whichever way it was given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest, UnsupportedModel
from curenu.losses.bregman import Bregman, bregman_of
from curenu.losses.tokens import TokenCrossEntropy

__all__ = ["Evaluation", "Loss", "Reduction", "mean_loss"]

Reduction = Literal["mean", "sum", "none"]
Loss = str | Callable[..., Tensor]


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        raise BadRequest(
            f"Outputs {list(outputs.shape)} and targets {list(targets.shape)} differ in shape.",
            "targets of the outputs' shape: the squared error never broadcasts.",
        )
    return functional.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1).sum()


_NAMED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda o, t: functional.cross_entropy(o, t, reduction="sum"),
    "mse": _squared_error,
}


class Evaluation(nn.Module):
    """A model and its loss, so that both run under the same named parameters.

    Batches are `(input, target)` pairs for a loss on (outputs, targets), or mappings for a
    loss on (model, batch). `"cross_entropy"` and `"mse"` (mean over an example's outputs)
    are known by name. A `TokenCrossEntropy` shows the outputs of a mapping: the logits of
    its target tokens.
    """

    def __init__(self, model: nn.Module, loss: Loss, reduction: Reduction | None) -> None:
        super().__init__()
        self.model = model
        self.name = loss if isinstance(loss, str) else None
        self.tokens = loss if isinstance(loss, TokenCrossEntropy) else None
        self.function, self.reduction = _resolve(loss, reduction)

    @property
    def bregman(self) -> Bregman | None:
        """The closed forms of the anchored objective, where the loss has them."""
        return bregman_of(self.name or self.function)

    def shows_outputs(self, batch: Any) -> bool:
        """Whether `forward` gives outputs, and not already the loss."""
        return self.tokens is not None or not isinstance(batch, Mapping)

    def forward(self, batch: Any) -> Tensor:
        """The model's outputs on a pair's inputs; the loss itself on a mapping that hides them."""
        if self.tokens is not None:
            return self.tokens.logits(self.model, _mapping(batch))
        if isinstance(batch, Mapping):
            return self.function(self.model, batch)
        return self.model(batch[0])

    def total(self, outputs: Tensor, batch: Any) -> Tensor:
        """Sum of the losses of the examples in `batch`, `[]`, from what `forward` gave."""
        loss = self.loss(outputs, batch)
        if loss.ndim:
            return loss.sum()
        return loss * batch_size(batch) if self.reduction == "mean" else loss

    def each(self, outputs: Tensor, batch: Any) -> Tensor:
        """The loss of every example, `[b]`; `UnsupportedModel` if it only comes summed."""
        if self.name == "cross_entropy":
            loss = functional.cross_entropy(outputs, batch[1], reduction="none")
            return loss.flatten(1).sum(1) if loss.ndim > 1 else loss
        loss = self.loss(outputs, batch)
        if loss.ndim != 1:
            raise UnsupportedModel(
                "The loss of single examples is needed, and this one comes summed or averaged.",
                '"cross_entropy", or a loss that returns one value per example.',
            )
        return loss

    def loss(self, outputs: Tensor, batch: Any) -> Tensor:
        """The loss as the given function returns it, before it is made a sum."""
        if self.tokens is not None:
            return self.tokens.each(outputs, batch)
        return outputs if isinstance(batch, Mapping) else self.function(outputs, batch[1])

    def targets(self, batch: Any) -> Tensor:
        """What the outputs are compared with, `[n, ...]`; `UnsupportedModel` if hidden."""
        if self.tokens is not None:
            return self.tokens.classes(batch)
        if isinstance(batch, Mapping):
            raise UnsupportedModel(
                "The loss on mapping-valued items hides its outputs and targets.",
                "`curenu.TokenCrossEntropy`, or calling the model on the items yourself.",
            )
        return batch[1]

    def settle(self, fetch: Callable[[Tensor], Any], ids: Tensor) -> None:
        """Measure the reduction on a few of the examples `ids`, each alone and all together.

        Raises `BadRequest` when the loss of all is neither the sum nor the mean of theirs,
        or not what was declared: the scale of every product would depend on the batch size.
        """
        spread = ids[:: max(1, len(ids) // 7)][:8]
        singles, together = [fetch(one) for one in spread.split(1)], fetch(spread)
        with torch.no_grad():
            alone = [self.loss(self(single), single).double() for single in singles]
            total = float(sum(loss.sum() for loss in alone))
            joint = self.loss(self(together), together).double()
        count = len(singles)
        if joint.ndim:
            if joint.shape != (count,):
                raise BadRequest(
                    f"The loss of {count} examples has shape {list(joint.shape)}.",
                    "return a scalar, or one value per example.",
                )
            self.reduction = "none"
            return
        expected: dict[Reduction, float] = {"sum": total, "mean": total / count}
        slack = 1e-3 * max(abs(total), 1e-30)
        measured = [name for name, value in expected.items() if abs(float(joint) - value) <= slack]
        if self.reduction in measured or not torch.isfinite(joint):
            return
        if self.reduction is not None or len(measured) != 1:
            raise BadRequest(
                f"The loss of {count} examples together, {float(joint):.6g}, is not the "
                f"{self.reduction or 'sum or mean'} of their losses alone, {total:.6g} in sum.",
                "a loss that is a plain mean or sum over examples, or one value per example "
                "(class weights and token-level means are not).",
            )
        self.reduction = measured[0]


def mean_loss(
    model: nn.Module, loss: Loss, fetch: Callable[[Tensor], Any], ids: Tensor
) -> Callable[[Any], Tensor]:
    """The mean loss of a batch as a function of the batch, for training `model` itself.

    Whether the loss is a sum or a mean is measured on a few of the examples `ids`, as every
    objective does: training and erasure then have one scale. Leaves the model in eval mode.
    """
    evaluation = Evaluation(model, loss, None).eval()
    evaluation.settle(fetch, ids)

    def evaluate(batch: Any) -> Tensor:
        value = evaluation.loss(evaluation(batch), batch)
        if value.ndim:
            return value.mean()
        return value / batch_size(batch) if evaluation.reduction == "sum" else value

    return evaluate


def _mapping(batch: Any) -> Mapping[str, Any]:
    if not isinstance(batch, Mapping):
        raise BadRequest("A loss of target tokens, and items that are pairs.", "mappings.")
    return batch


def batch_size(batch: Any) -> int:
    """Number of examples in a collated batch: the length of its first tensor."""
    parts = batch.values() if isinstance(batch, Mapping) else batch
    for part in parts:
        if isinstance(part, Tensor):
            return part.shape[0]
        if isinstance(part, Mapping | list | tuple):
            return batch_size(part)
    raise BadRequest("A batch holds no tensor.", "items of tensors, or a `collate` function.")


def _resolve(
    loss: Loss, reduction: Reduction | None
) -> tuple[Callable[..., Tensor], Reduction | None]:
    if isinstance(loss, str):
        if loss not in _NAMED:
            raise BadRequest(f"No loss is named {loss!r}.", f"{', '.join(_NAMED)} or a callable.")
        return _NAMED[loss], "sum"
    if not callable(loss):
        raise BadRequest(f"The loss is a {type(loss).__name__}.", "a name or a callable.")
    declared = reduction or getattr(loss, "reduction", None) or _default_reduction(loss)
    if declared not in ("mean", "sum", "none", None):
        raise BadRequest(f"The loss declares reduction={declared!r}.", "'mean', 'sum' or 'none'.")
    return loss, declared


def _default_reduction(loss: Callable[..., Tensor]) -> Any:
    try:
        parameter = inspect.signature(loss).parameters.get("reduction")
    except (TypeError, ValueError):
        return None
    return (
        None
        if parameter is None or parameter.default is inspect.Parameter.empty
        else parameter.default
    )
