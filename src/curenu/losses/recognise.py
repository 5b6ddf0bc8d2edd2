"""Which loss is meant: by its name, as torch's object or function, or as a user's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses.binary import BinaryCrossEntropy
from curenu.losses.classes import CrossEntropy
from curenu.losses.form import Form, Reduction
from curenu.losses.function import FunctionOfOutputs
from curenu.losses.tokens import TokenCrossEntropy
from curenu.losses.values import Huber, SquaredError

__all__ = ["LOSSES", "Loss", "form_of"]

Loss = str | Form | TokenCrossEntropy | Callable[..., Tensor]

LOSSES: dict[str, Callable[[], Form]] = {
    "cross_entropy": CrossEntropy,
    "mse": SquaredError,
    "bce_with_logits": BinaryCrossEntropy,
    "huber": Huber,
}

_REDUCTIONS = ("mean", "sum", "none")


def form_of(loss: Loss, reduction: Reduction | None = None) -> Form:
    """The loss as a `Form`.

    A name, `nn.CrossEntropyLoss(...)`, `nn.MSELoss(...)`, `nn.BCEWithLogitsLoss(...)`,
    `nn.HuberLoss(...)`, `nn.SmoothL1Loss(...)`, `nn.NLLLoss(...)` (on a log-softmax) and their
    functions in `torch.nn.functional`, with arguments by `functools.partial`, give the same
    object with the same arguments. Anything else callable is a function of outputs and targets.
    `reduction` is that of a loss by name, and declares what a user's function gives; beside a
    loss that has its own it must be the same.

    Raises `BadRequest` for what is no loss, and for a reduction that is none or another.
    """
    if reduction is not None and (not isinstance(reduction, str) or reduction not in _REDUCTIONS):
        raise BadRequest(f"reduction={reduction!r}.", '"mean", "sum" or "none".')
    if isinstance(loss, Form):
        return _alike(loss, reduction)
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise BadRequest(f"No loss is named {loss!r}.", f"{', '.join(LOSSES)} or a callable.")
        known = LOSSES[loss]()
        return known if reduction is None else replace(known, reduction=reduction)
    if not callable(loss):
        raise BadRequest(f"The loss is a {type(loss).__name__}.", "a name or a callable.")
    own = getattr(loss, "reduction", None) or _default_reduction(loss)
    if own == "batchmean":  # of `nn.KLDivLoss`: the mean over examples
        own = "mean"
    if own is not None and (not isinstance(own, str) or own not in _REDUCTIONS):
        raise BadRequest(f"The loss declares reduction={own!r}.", '"mean", "sum" or "none".')
    known = _of_module(loss) if isinstance(loss, nn.Module) else _of_function(loss)
    if known is not None:
        return _alike(known, reduction)
    return FunctionOfOutputs(reduction=reduction or own, function=loss)


def _alike(known: Form, reduction: Reduction | None) -> Form:
    """A loss that has a reduction of its own, if the one given beside it is the same."""
    if reduction is not None and reduction != known.reduction:
        raise BadRequest(
            f"reduction={reduction!r} beside a loss whose own is {known.reduction!r}.",
            f"the loss as it was in training (`nn.CrossEntropyLoss(reduction={reduction!r})`, or "
            "the function by `functools.partial`), without `reduction=`.",
        )
    return known


def _of_module(loss: nn.Module) -> Form | None:
    """Exact types only: a subclass may compute anything."""
    kind = type(loss)
    given: dict[str, Any] = {**vars(loss), **loss._buffers}
    reduction = given.get("reduction", "mean")
    if kind is nn.CrossEntropyLoss:
        return CrossEntropy(
            reduction=reduction,
            weight=given["weight"],
            label_smoothing=given["label_smoothing"],
            ignore_index=given["ignore_index"],
        )
    if kind is nn.NLLLoss:
        return CrossEntropy(
            reduction=reduction, weight=given["weight"], ignore_index=given["ignore_index"]
        )
    if kind is nn.MSELoss:
        return SquaredError(reduction=reduction)
    if kind is nn.BCEWithLogitsLoss:
        return BinaryCrossEntropy(
            reduction=reduction, weight=given["weight"], pos_weight=given["pos_weight"]
        )
    if kind is nn.HuberLoss:
        return Huber(reduction=reduction, delta=given["delta"])
    if kind is nn.SmoothL1Loss and given["beta"] > 0:
        return Huber(reduction=reduction, delta=given["beta"], smooth=True)
    return None


def _of_function(loss: Callable[..., Tensor]) -> Form | None:
    """A function of torch, plain or with keyword arguments by `functools.partial`."""
    function, given = loss, {}
    if isinstance(loss, partial):
        if loss.args:
            return None
        function, given = loss.func, dict(loss.keywords)
    makers: dict[Any, tuple[Callable[..., Form], dict[str, str]]] = {
        functional.cross_entropy: (
            CrossEntropy,
            {n: n for n in ("reduction", "weight", "label_smoothing", "ignore_index")},
        ),
        functional.nll_loss: (
            CrossEntropy,
            {n: n for n in ("reduction", "weight", "ignore_index")},
        ),
        functional.mse_loss: (SquaredError, {"reduction": "reduction"}),
        functional.binary_cross_entropy_with_logits: (
            BinaryCrossEntropy,
            {n: n for n in ("reduction", "weight", "pos_weight")},
        ),
        functional.huber_loss: (Huber, {"reduction": "reduction", "delta": "delta"}),
        functional.smooth_l1_loss: (
            partial(Huber, smooth=True),
            {"reduction": "reduction", "beta": "delta"},
        ),
    }
    try:
        maker, names = makers[function]
    except (KeyError, TypeError):  # unknown, or not hashable
        return None
    if not set(given) <= set(names):
        return None
    return maker(**{names[name]: value for name, value in given.items()})


def is_log_likelihood(loss: Any) -> bool:
    """Whether the loss takes log-probabilities where cross-entropy takes logits."""
    plain = loss.func if isinstance(loss, partial) else loss
    return type(loss) is nn.NLLLoss or plain is functional.nll_loss


def _default_reduction(loss: Callable[..., Tensor]) -> Any:
    try:
        parameter = inspect.signature(loss).parameters.get("reduction")
    except (TypeError, ValueError):
        return None
    if parameter is None or parameter.default is inspect.Parameter.empty:
        return None
    return parameter.default
