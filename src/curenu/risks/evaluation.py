"""A model and its loss as one module, so that both run under the same named parameters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from curenu.data import Batch, mapped
from curenu.errors import BadRequest, UnsupportedModel
from curenu.losses import (
    Form,
    FunctionOfModel,
    FunctionOfOutputs,
    Loss,
    Reduction,
    TokenCrossEntropy,
    checked_loss,
    form_of,
    is_log_likelihood,
)
from curenu.user_code import among, calling

__all__ = ["Evaluation"]

Calling = Literal["one", "positional", "keywords"]

_TARGETS = ("labels", "label", "targets", "target", "y")
"""Entries of a mapping that are taken for the targets of a loss of outputs and targets."""


class Evaluation(nn.Module):
    """A model and its loss on batches of `(input, target)` pairs, or of mappings.

    A loss of outputs and targets reads pairs, and mappings that have an entry for the targets
    (`labels` or the like): the rest goes to the model by keyword. A user's function on mappings
    is called with (model, batch) and hides the outputs. `calling` says how a model takes an
    input of several parts, `dtype` what its floating inputs are cast to and `layout` how many axes
    outputs have, and how many classes; all are settled on the first examples, see `trial`.
    """

    def __init__(self, model: nn.Module, loss: Loss, reduction: Reduction | None) -> None:
        super().__init__()
        self.model = model
        self.form: Form = form_of(loss, reduction)
        self.log_likelihood = is_log_likelihood(loss)
        self.calling: Calling = "one"
        self.dtype: torch.dtype | None = None
        self.picks = False
        self.layout: tuple[int, int | None] | None = None

    @property
    def tokens(self) -> TokenCrossEntropy | None:
        """The loss of target tokens, where it is one."""
        return self.form if isinstance(self.form, TokenCrossEntropy) else None

    @property
    def shows_outputs(self) -> bool:
        """Whether `forward` gives outputs, and not already the loss."""
        return not isinstance(self.form, FunctionOfModel)

    @property
    def reduction(self) -> Any:
        """What the loss does with several examples: `"mean"`, `"sum"` or `"none"`."""
        return self.form.reduction

    @property
    def of_classes(self) -> bool:
        """Whether outputs are logits `[b, k, ...]` of classes."""
        return self.form.of_classes

    def fit(self, batch: Batch) -> None:
        """A user's function on mappings is one of the model and the batch."""
        if isinstance(batch.content, Mapping) and isinstance(self.form, FunctionOfOutputs):
            self.hide()

    def hide(self) -> None:
        """Take the loss as a function of the model and the batch: nothing is said of outputs."""
        given = self.form
        if isinstance(given, FunctionOfOutputs):
            function = given.function
            self.form = FunctionOfModel(reduction=given.reduction, function=function)

    def forward(self, batch: Batch) -> Tensor:
        """The model's outputs on a batch; the loss itself where it hides them."""
        content = self.cast(batch.content)
        if self.tokens is not None:
            with calling("`outputs` of the loss, or the model that it calls,", batch.ids):
                return self.tokens.logits(self.model, _mapping(content))
        if not isinstance(self.form, FunctionOfModel):
            inputs = self.inputs(content)
            with calling("The model", batch.ids):
                made = self.shown(self._called(inputs))
            return self._as_before(made, batch)
        if isinstance(content, Mapping):
            with calling("The loss, or the model that it calls,", batch.ids):
                return checked_loss(self.form.function(self.model, content))
        inputs, targets = _pair(content)
        with calling("The model", batch.ids):
            made = self._called(inputs)
        with calling("The loss", batch.ids):
            return checked_loss(self.form.function(made, targets))

    def inputs(self, content: Any) -> Any:
        """What the model is given, of a batch's content."""
        if isinstance(content, Mapping):
            key = _target_key(content)
            return {name: value for name, value in content.items() if name != key}
        return _pair(content)[0]

    def targets(self, batch: Batch) -> Any:
        """What the outputs are compared with; `UnsupportedModel` if hidden."""
        if self.tokens is not None:
            return self.tokens.tokens(_mapping(batch.content))
        if isinstance(self.form, FunctionOfModel):
            raise UnsupportedModel(
                "The loss on mapping-valued items hides its outputs and targets.",
                "`curenu.TokenCrossEntropy`, or calling the model on the items yourself.",
            )
        if isinstance(batch.content, Mapping):
            return batch.content[_target_key(batch.content)]
        return _pair(batch.content)[1]

    def shown(self, outputs: Any) -> Any:
        """The logits among a model's outputs, where it returns several things by name."""
        if not self.picks or isinstance(outputs, Tensor):
            return outputs
        return outputs["logits"] if isinstance(outputs, Mapping) else outputs.logits

    def total(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Σ_i w_i l_i over the examples in `batch`, `[]`, from what `forward` gave."""
        if isinstance(self.form, FunctionOfModel):
            return self.form.scaled(outputs, batch.size, batch.weights)
        targets = self.targets(batch)
        with self._calling_loss(batch):
            return self.form.sum(outputs, targets, batch.weights)

    def each(self, outputs: Tensor, batch: Batch) -> Tensor:
        """l_i of every example, `[b]`; `UnsupportedModel` if it only comes summed."""
        if isinstance(self.form, FunctionOfModel):
            return outputs if outputs.ndim == 1 else Form().each(outputs, None)
        targets = self.targets(batch)
        with self._calling_loss(batch):
            return self.form.each(outputs, targets)

    def divergence(self, outputs: Tensor, before: Tensor, batch: Batch) -> Tensor:
        """Σ_i w_i B_i over the batch, `[]`."""
        targets = self.targets(batch)
        with self._calling_loss(batch):
            return self.form.divergence(outputs, before, targets, batch.weights)

    def removal(self, outputs: Tensor, before: Tensor, batch: Batch) -> Tensor:
        """Σ_i w_i (B_i − l_i) over the batch less its value at the anchor, `[]`."""
        targets = self.targets(batch)
        with self._calling_loss(batch):
            return self.form.removal(outputs, before, targets, batch.weights)

    def given(self, outputs: Any, batch: Batch) -> Tensor:
        """What a user's function of outputs and targets returns, `[]` or `[b]`."""
        targets = self.targets(batch)
        assert isinstance(self.form, FunctionOfOutputs)
        with self._calling_loss(batch):
            return self.form.given(outputs, targets)

    def _as_before(self, outputs: Any, batch: Batch) -> Any:
        """Outputs, if they are of the kind that was settled."""
        if self.layout is None:
            return outputs
        axes, width = self.layout
        tensor = isinstance(outputs, Tensor)
        if (
            tensor
            and outputs.is_floating_point()
            and outputs.ndim == axes
            and len(outputs) == batch.size
            and (width is None or outputs.shape[1] == width)
        ):
            return outputs
        kind = f"{outputs.dtype} {list(outputs.shape)}" if tensor else type(outputs).__name__
        wanted = "" if width is None else f", {width} along axis 1"
        raise UnsupportedModel(
            f"The model returned {kind} on {among(batch.ids)}, where real numbers with {axes} "
            f"axes, {batch.size} along the first{wanted} were expected.",
            "a model that returns the same kind for every batch.",
        )

    def _calling_loss(self, batch: Batch) -> AbstractContextManager[None]:
        """Around a call of a loss that may be the user's."""
        own = isinstance(self.form, FunctionOfOutputs)
        return calling("The loss", batch.ids) if own else nullcontext()

    def _called(self, inputs: Any) -> Any:
        if isinstance(inputs, Mapping) and self.calling != "one":
            return self.model(**inputs)
        if self.calling == "positional":
            return self.model(*inputs)
        return self.model(inputs)

    def cast(self, content: Any) -> Any:
        """The content with floating inputs in the model's type, where they are in another."""
        if self.dtype is None:
            return content
        return mapped(content, self._as_model)

    def _as_model(self, leaf: Any) -> Any:
        floating = isinstance(leaf, Tensor) and leaf.is_floating_point()
        return leaf.to(self.dtype) if floating else leaf


def _target_key(content: Mapping[str, Any]) -> str:
    found = [key for key in _TARGETS if key in content]
    if len(found) > 1:
        raise BadRequest(
            f"Items have the entries {' and '.join(found)}, each of which may be the targets.",
            "items with one of them, by `collate=` or another data set, or a loss on "
            "(model, batch).",
        )
    if found:
        return found[0]
    raise BadRequest(
        f"Items have the entries {', '.join(map(str, content))}, and none for the targets.",
        f"an entry named {', '.join(_TARGETS[:3])} or {_TARGETS[-1]}, or a loss on (model, batch).",
    )


def _pair(content: Any) -> tuple[Any, Any]:
    if not isinstance(content, list | tuple):
        raise BadRequest(
            f"Items collate to {type(content).__name__}.",
            "items that are (input, target) pairs or mappings.",
        )
    if len(content) != 2:
        third = " (a third part that weighs the examples is given as `weights=`)"
        raise BadRequest(
            f"Items have {len(content)} parts where (input, target) are needed.",
            f"items of two parts, by `collate=` or another data set{third}; several inputs as "
            "one tuple: ((text, offsets), target).",
        )
    return content[0], content[1]


def _mapping(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise BadRequest("A loss of target tokens, and items that are pairs.", "mappings.")
    return content
