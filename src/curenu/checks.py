"""Questions asked before anything is computed or written."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.user_code import calling

__all__ = [
    "check_callables",
    "check_curvature",
    "check_product_dtype",
    "positions_of",
    "size_of",
]


def positions_of(
    forget: Any,
    size: int,
    *,
    ids: Sequence[Hashable] | None = None,
    erased: Collection[int] = (),
) -> list[int]:
    """Sorted positions of the examples to forget, out of `size`.

    `forget` is a sequence, set, array or tensor of ids, or a mask: `size` booleans. `ids` names
    the examples (positions by default); `erased` are positions already gone.

    Raises `BadRequest` for an empty request, unknown, repeated, unhashable or already erased
    ids, and for a request that leaves nothing to retain.
    """
    if str(getattr(forget, "dtype", "")).removeprefix("torch.") == "uint8":
        raise BadRequest(
            "forget is of uint8, which may be a mask or positions.",
            "`forget.bool()` (of an array `forget.astype(bool)`) for a mask, whole numbers of "
            "another type for positions.",
        )
    wanted = _listed(forget, "forget")
    ids = None if ids is None else _listed(ids, "ids")
    if wanted and all(isinstance(one, bool) for one in wanted):
        wanted = _marked(wanted, size, ids)
    elif len(wanted) == size > 2 and set(wanted) <= {0, 1}:
        raise BadRequest(
            f"forget has {size} entries, each 0 or 1, for {size} examples: a mask of numbers.",
            "`forget.bool()`, or True and False.",
        )
    if not wanted:
        raise BadRequest("The forget set is empty.", "ids of at least one example.")
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


def _marked(mask: list[bool], size: int, ids: list[Any] | None) -> list[Any]:
    """What a mask marks: by its name where examples have names, else by its position."""
    if len(mask) != size:
        raise BadRequest(
            f"A mask of {len(mask)} entries for {size} examples.", "one entry an example."
        )
    named = ids if ids is not None and len(ids) == size else range(size)
    return [name for name, marked in zip(named, mask, strict=True) if marked]


def _plain(one: Any) -> Any:
    """Single tensors and the truth values of arrays as Python has them."""
    single = isinstance(one, Tensor) and one.ndim == 0
    return one.item() if single or isinstance(one, np.bool_) else one


def _listed(given: Any, name: str) -> list[Any]:
    """Ids, or a mask, in whatever holds them, as a list."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise BadRequest(
            f"{name}={given!r} is one id, and a list of them is needed.", f"{name}=[{given!r}]."
        )
    array: Any = given
    if isinstance(given, Tensor) and given.is_meta:
        raise BadRequest(f"{name} is on the meta device, without content.", "a tensor of ids.")
    if hasattr(array, "tolist"):  # a tensor or an array
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]  # as `nonzero()` gives it
        if array.ndim != 1:
            raise BadRequest(f"{name} has shape {list(array.shape)}.", "one axis: a list of ids.")
        given = array.tolist()
    found = [_plain(one) for one in given]
    for place, one in enumerate(found):
        try:
            hash(one)
        except TypeError as error:
            raise BadRequest(
                f"{name} has {one!r} at place {place}: a {type(one).__name__} names nothing.",
                "strings or whole numbers.",
            ) from error
    return found


def size_of(dataset: Any) -> int:
    """How many examples a map-style dataset has; `BadRequest` for any other or none."""
    if isinstance(dataset, DataLoader):
        dataset = dataset.dataset
    reads = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if isinstance(dataset, IterableDataset) or not reads:
        raise BadRequest(
            f"{type(dataset).__name__} has no length or no items by position.",
            "a map-style dataset: erasure needs to address single examples.",
        )
    with calling("`__len__` of the data set"):
        size = len(dataset)
    if size == 0:
        raise BadRequest("The dataset is empty.", "a dataset with examples.")
    if isinstance(dataset, tuple) and all(hasattr(part, "shape") for part in dataset):
        raise BadRequest(
            f"A tuple of {size} arrays is no data set: its length would be {size}.",
            "`TensorDataset(inputs, targets)` of tensors (`torch.from_numpy` makes them).",
        )
    return size


def _places(wanted: list[Any], size: int, ids: Sequence[Hashable] | None) -> dict[Hashable, int]:
    if ids is not None:
        if len(ids) != size:
            raise BadRequest(f"{len(ids)} ids for {size} examples.", "one id per example.")
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


def check_callables(**given: object) -> None:
    """Raise `BadRequest`, naming the argument, for one that cannot be called."""
    for name, function in given.items():
        if function is not None and not callable(function):
            raise BadRequest(f"{name}={function!r} cannot be called.", "a function, or None.")


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
