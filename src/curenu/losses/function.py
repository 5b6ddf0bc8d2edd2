"""A user's own function as a loss: of outputs and targets, or of the model and a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from curenu.errors import BadRequest, UnsupportedModel
from curenu.losses.form import Form, weighted

__all__ = ["FunctionOfModel", "FunctionOfOutputs", "checked_loss"]


@dataclass(frozen=True)
class FunctionOfOutputs(Form):
    """A callable (outputs, targets) -> a scalar, or one value an example, `[b]`.

    `reduction` says what the scalar is, once it was measured: a mean over the examples, their
    sum, or `"none"` for values an example. Divergences are found by differentiating it.
    """

    reduction: Any = None
    function: Callable[[Any, Any], Tensor] = None  # type: ignore[assignment]

    label: ClassVar[str] = "a function of outputs and targets"

    def given(self, outputs: Any, targets: Any) -> Tensor:
        """What the function returns."""
        return checked_loss(self.function(outputs, targets))

    def each(self, outputs: Tensor, targets: Any) -> Tensor:
        loss = self.given(outputs, targets)
        return super().each(outputs, targets) if loss.ndim != 1 else loss

    def sum(self, outputs: Tensor, targets: Any, weights: Tensor | None = None) -> Tensor:
        return _summed(self.given(outputs, targets), self.reduction, len(outputs), weights)


@dataclass(frozen=True)
class FunctionOfModel(Form):
    """A callable (model, batch) -> a scalar, or one value an example; outputs stay hidden.

    Its `forward` in an `Evaluation` gives the loss itself, so that nothing can be said of the
    outputs: no divergence from an anchor, no Gauss-Newton products.
    """

    reduction: Any = None
    function: Callable[[Any, Any], Tensor] = None  # type: ignore[assignment]

    label: ClassVar[str] = "a function of the model and a batch"

    def scaled(self, loss: Tensor, size: int, weights: Tensor | None = None) -> Tensor:
        """The sum over `size` examples, `[]`, of what the function returned."""
        if loss.ndim and loss.shape != (size,):
            raise BadRequest(
                f"{size} examples give losses {list(loss.shape)}.",
                "a `collate` that keeps every example, and a loss with one value for each.",
            )
        return _summed(loss, self.reduction, size, weights)


def checked_loss(loss: Any) -> Tensor:
    """What a user's function returned, if it is real numbers; `BadRequest` if not."""
    if not isinstance(loss, Tensor):
        raise BadRequest(f"The loss returned a {type(loss).__name__}.", "a tensor: [], or [b].")
    if not loss.is_floating_point():
        raise BadRequest(
            f"The loss returned a tensor of {loss.dtype}.", "real numbers: a floating-point tensor."
        )
    return loss


def _summed(loss: Tensor, reduction: Any, size: int, weights: Tensor | None) -> Tensor:
    """Σ w_i l_i over `size` examples, `[]`, from what a user's function returned."""
    if loss.ndim and loss.shape != (size,):
        raise BadRequest(
            f"The loss of {size} examples has shape {list(loss.shape)}.",
            "a scalar, or one value per example, whatever the batch.",
        )
    if loss.ndim == 0 and reduction == "none" and size > 1:
        raise BadRequest(
            f"The loss of {size} examples is one number, and it was one an example before.",
            "a loss that returns the same kind for every batch.",
        )
    if weights is not None:
        if loss.ndim != 1:
            raise UnsupportedModel(
                "Weights of single examples need a loss of single examples.",
                "a loss that returns one value per example, or one known by name.",
            )
        return weighted(loss, weights)
    if loss.ndim:
        return loss.sum()
    return loss * size if reduction == "mean" else loss
