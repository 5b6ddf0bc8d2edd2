"""Questions asked before anything is computed or written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from curenu.errors import BadRequest, IllPosed, NotDeterministic, UnsupportedModel

__all__ = [
    "available_memory",
    "check_curvature",
    "check_data_repeats",
    "check_loss_repeats",
    "check_product_dtype",
    "floating_tensors",
    "positions_of",
    "size_of",
]


def positions_of(
    forget: Sequence[Hashable] | Tensor,
    size: int,
    *,
    ids: Sequence[Hashable] | None = None,
    erased: Collection[int] = (),
) -> list[int]:
    """Sorted positions of the examples to forget, out of `size`.

    `ids` names the examples (positions by default); `erased` are positions already gone.

    Raises `BadRequest` for an empty request, unknown, repeated, unhashable or already erased
    ids, and for a request that leaves nothing to retain.
    """
    wanted = forget.tolist() if isinstance(forget, Tensor) else list(forget)
    if not wanted:
        raise BadRequest("The forget set is empty.", "ids of at least one example.")
    _check_hashable(wanted, "The forget set")
    places = _places(wanted, size, ids)
    unknown = [example for example in wanted if example not in places]
    if unknown:
        raise BadRequest(
            f"{len(unknown)} unknown ids, first {unknown[0]!r}, among {size} examples.",
            "ids of the training set" + ("." if ids is not None else f": 0 to {size - 1}."),
        )
    positions = sorted(places[example] for example in wanted)
    if len(set(positions)) < len(positions):
        twice = next(a for a, b in pairwise(positions) if a == b)
        raise BadRequest(
            f"Ids are repeated, first {twice if ids is None else ids[twice]!r}.",
            "each id once.",
        )
    again = set(positions) & set(erased)
    if again:
        first = min(again)
        raise BadRequest(
            f"{len(again)} ids are already erased, first {first if ids is None else ids[first]!r}.",
            "only ids that are still in the retain set.",
        )
    if len(positions) + len(set(erased)) >= size:
        raise BadRequest(
            "The request leaves no example to retain.",
            "deleting the model: there is nothing left it should know.",
        )
    return positions


def size_of(dataset: Any) -> int:
    """How many examples a map-style dataset has; `BadRequest` for any other or none."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise BadRequest(
            f"{type(dataset).__name__} has no length or no items by position.",
            "a map-style dataset: erasure needs to address single examples.",
        )
    if len(dataset) == 0:
        raise BadRequest("The dataset is empty.", "a dataset with examples.")
    return len(dataset)


def _places(wanted: list[Any], size: int, ids: Sequence[Hashable] | None) -> dict[Hashable, int]:
    if ids is not None:
        if len(ids) != size:
            raise BadRequest(f"{len(ids)} ids for {size} examples.", "one id per example.")
        _check_hashable(ids, "The list of ids")
        places = {example: position for position, example in enumerate(ids)}
        if len(places) < size:
            raise BadRequest("Two examples share an id.", "ids that are unique.")
        return places
    for example in wanted:
        if isinstance(example, bool) or not hasattr(example, "__index__"):
            raise BadRequest(
                f"{example!r} is no position in the dataset.",
                "whole numbers, or pass `ids=` to name the examples.",
            )
    return {int(example): int(example) for example in wanted if 0 <= int(example) < size}


def _check_hashable(ids: Iterable[Any], holder: str) -> None:
    for place, name in enumerate(ids):
        try:
            hash(name)
        except TypeError as error:
            raise BadRequest(
                f"{holder} has {name!r} at place {place}, a {type(name).__name__}, which names "
                "nothing.",
                "strings or whole numbers.",
            ) from error


def available_memory() -> int:
    """Bytes of memory that can be used now without swapping, as the system says."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def floating_tensors(batch: Any) -> list[Tensor]:
    """All floating-point tensors in a batch, however nested."""
    leaves = pytree.tree_leaves(batch)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def check_data_repeats(fetch: Callable[[], Any]) -> None:
    """Raise `NotDeterministic` if fetching the same examples twice gives different data."""
    first, second = (
        [leaf for leaf in pytree.tree_leaves(fetch()) if isinstance(leaf, Tensor)] for _ in range(2)
    )
    same = len(first) == len(second) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )
    if not same:
        raise NotDeterministic(
            "The dataset returns different data for the same example.",
            "switching off random augmentation, or a dataset of fixed examples.",
        )


def check_loss_repeats(evaluate: Callable[[], Tensor]) -> None:
    """Raise `NotDeterministic` if the same batch twice gives different losses.

    Module dropout is off at this point, so what is left draws random numbers by itself.
    """
    first, second = (evaluate().double() for _ in range(2))
    if not torch.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True):
        raise NotDeterministic(
            f"The model gives {float(first):.9g}, then {float(second):.9g} on the same batch "
            "in evaluation mode.",
            "dropout as a module, or `functional.dropout(x, training=self.training)`: dropout "
            "or noise that ignores `.eval()` was left on.",
        )


def check_product_dtype(
    dtype: torch.dtype | None, model: torch.dtype, device: torch.device
) -> None:
    """Raise `BadRequest` unless float32 products can be had in `dtype` on `device`; None is fine.

    Tried on a product of two numbers: autocast that cannot do it warns and goes on without.
    """
    if dtype is None:
        return
    if dtype not in (torch.bfloat16, torch.float16):
        raise BadRequest(
            f"product_dtype={dtype!r}.", "torch.bfloat16, torch.float16, or None: the model's own."
        )
    if model != torch.float32:
        raise BadRequest(
            f"product_dtype={dtype!r} and a model in {model}.",
            "a model in torch.float32, or `product_dtype=None`.",
        )
    one = torch.ones(1, 1, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.autocast(device.type, dtype):
                made = (one @ one).dtype
        except RuntimeError:
            made = None
    if made != dtype:
        raise BadRequest(
            f"product_dtype={dtype!r}, which {device} does not have.",
            "torch.bfloat16, or `product_dtype=None`.",
        )


def check_curvature(gradient: Tensor, product: Tensor) -> None:
    """Raise unless the product with a random vector is finite and not identically zero.

    An exactly zero product beside a gradient that is not zero means a piecewise linear
    objective: its second derivative carries no information.
    """
    if not product.isfinite().all():
        raise IllPosed(
            "The Hessian-vector product holds NaN or Inf although the gradient does not: the "
            "loss is not twice differentiable at these weights.",
            "a loss with a finite second derivative (no norm or square root at zero).",
        )
    if gradient.any() and not product.any():
        raise UnsupportedModel(
            "The second derivative is zero everywhere: the loss is piecewise linear.",
            'a smooth loss such as "cross_entropy" or Huber, or a first-order method.',
        )
