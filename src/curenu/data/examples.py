"""A data set as batches of chosen examples, each read once where they fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from curenu.budgets import DATA_MEMORY
from curenu.checks import size_of
from curenu.data.batch import Batch
from curenu.data.leaves import byte_count, independent, leaves_of, mapped
from curenu.data.loader import opened
from curenu.errors import BadRequest
from curenu.user_code import among, calling, said

__all__ = ["Collate", "Examples"]

Collate = Callable[[list[Any]], Any]

_AT_ONCE = 64  # items that one of a loader's workers reads in a row


class Examples:
    """Fetches batches by position, on the model's device.

    `dataset` is map-style, or a `DataLoader`, whose data set, collate function and workers are
    taken and whose order and batch size are not: it must show every example. Tensor data sets
    are indexed whole; any other is read item by item, each item kept until `memory_budget` bytes
    are, and goes through `collate`. `weights` `[n]` says what each example weighs beside
    the others: they are divided by their mean.

    Raises `BadRequest` for data that cannot be addressed by position or collated.
    """

    def __init__(
        self,
        dataset: Any,
        device: torch.device,
        *,
        collate: Collate | None = None,
        weights: Tensor | Sequence[float] | None = None,
        memory_budget: int = DATA_MEMORY,
    ) -> None:
        self._workers = 0
        if isinstance(dataset, DataLoader):
            dataset, collate, self._workers = opened(dataset, collate)
        self.size = size_of(dataset)
        self.weights = _checked(weights, self.size, device)
        self.reads = 0
        self._dataset: Dataset[Any] = dataset
        self._collate = collate
        self._whole = dataset.tensors if type(dataset) is TensorDataset and not collate else None
        for tensor in self._whole or ():
            if tensor.layout is not torch.strided:
                raise BadRequest(
                    f"A data set of tensors of layout {tensor.layout}: rows cannot be taken out.",
                    "`tensor.to_dense()`, or a data set that makes each example dense.",
                )
        self._device = device
        self._kept: dict[int, Any] = {}
        self._left = memory_budget

    @property
    def in_memory(self) -> bool:
        """Whether the examples are tensors that are there already."""
        return self._whole is not None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The whole data set's, where it is one of tensors; else none."""
        return self._whole or ()

    def batch(self, ids: Tensor, *, fresh: bool = False) -> Batch:
        """The collated examples at `ids` `[b]`; read once more even where kept, if `fresh`."""
        if self._whole is not None:
            content: Any = tuple(tensor[ids.to(tensor.device)] for tensor in self._whole)
        else:
            content = self._collated(self._items(ids.tolist(), fresh), ids)
        weights = None if self.weights is None else self.weights[ids.to(self.weights.device)]
        return Batch(ids, mapped(content, self._moved), weights)

    def prefetch(self, ids: Tensor) -> None:
        """Read the examples at `ids` `[n]` by the loader's workers, as far as they can be kept."""
        if self._workers and self._whole is None and self._left > 0:
            missing = [place for place in ids.tolist() if place not in self._kept]
            if len(missing) > _AT_ONCE:
                for place, item in zip(missing, self._worked(missing), strict=True):
                    self._keep(place, item)

    def loader(self, ids: Tensor, size: int, generator: torch.Generator) -> DataLoader[Any]:
        """Batches of `size` of the examples at `ids`, shuffled anew at every pass.

        The items are as the data set gives them: they stay on its device.
        """
        return DataLoader(
            Subset(self._dataset, ids.tolist()),
            batch_size=size,
            shuffle=True,
            collate_fn=self._collate,
            generator=generator,
            num_workers=self._workers,
        )

    def _items(self, places: list[int], fresh: bool) -> list[Any]:
        missing = [place for place in places if fresh or place not in self._kept]
        read = dict(zip(missing, self._read(missing), strict=True)) if missing else {}
        if not fresh:
            for place, item in read.items():
                self._keep(place, item)
        return [read[place] if place in read else self._kept[place] for place in places]

    def _read(self, places: list[int]) -> list[Any]:
        self.reads += len(places)
        many = getattr(self._dataset, "__getitems__", None)
        if many is None:
            return [self._item(place) for place in places]
        with self._reading(places):
            items = many(places)
            if isinstance(items, Mapping):  # columns of rows, as Hugging Face data sets give them
                rows = range(len(places))
                items = [{key: column[i] for key, column in items.items()} for i in rows]
            items = list(items)
        if len(items) != len(places):
            raise BadRequest(
                f"`__getitems__` of the data set gives {len(items)} items for {len(places)} "
                "positions.",
                "one item for each, or a data set without it.",
            )
        return items

    def _item(self, place: int) -> Any:
        with self._reading([place]):
            return independent(self._dataset[place])

    @contextmanager
    def _reading(self, places: list[int]) -> Iterator[None]:
        """Around a call of the data set."""
        with calling("The data set", places):
            try:
                yield
            except (IndexError, KeyError, StopIteration) as error:
                raise BadRequest(
                    f"The data set says it has {self.size} examples and fails at "
                    f"{among(places)}: {said(error)}",
                    "a `__len__` that says how many items there are, and a `__getitem__` that "
                    "gives each of them.",
                ) from error

    def _worked(self, places: list[int]) -> Iterable[Any]:
        self.reads += len(places)
        loader = DataLoader(
            _Independent(self._dataset, places),
            batch_size=_AT_ONCE,
            collate_fn=list,
            num_workers=self._workers,
        )
        with calling("The data set, in a worker of its loader,"):
            return [item for items in loader for item in items]

    def _keep(self, place: int, item: Any) -> None:
        size = byte_count(item)
        if place not in self._kept and size <= self._left:
            self._kept[place] = independent(item)
            self._left -= size

    def _collated(self, items: list[Any], ids: Tensor) -> Any:
        if self._collate is not None:
            with calling("`collate`", ids):
                return self._collate(items)
        try:
            return default_collate([_as_tensors(item) for item in items])
        except (TypeError, RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise BadRequest(
                f"Items of type {_kinds(items, ids)} do not make a batch: {said(error)}",
                "`collate=`, a function of a list of items: the one of the training's loader.",
            ) from error

    def _moved(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            if leaf.is_meta:
                raise BadRequest(
                    "The data are tensors on the meta device, which have no content.",
                    "tensors on a processor or a graphics card.",
                )
            return leaf.to(self._device)
        if not isinstance(leaf, str | bytes | int | float | None) and any(
            part is not leaf for part in leaves_of(leaf)
        ):
            return leaf.to(self._device) if hasattr(leaf, "to") else leaf
        return leaf


def _checked(
    weights: Tensor | Sequence[float] | None, size: int, device: torch.device
) -> Tensor | None:
    if weights is None:
        return None
    if isinstance(weights, Tensor) and weights.is_meta:
        raise BadRequest("Weights on the meta device have no content.", "numbers.")
    try:
        made = torch.as_tensor(weights).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadRequest(
            f"Weights of type {type(weights).__name__} make no tensor: {said(error)}",
            "one number an example, in a list, an array or a tensor.",
        ) from error
    if made.is_complex():
        raise BadRequest(f"Weights of {made.dtype}.", "one real number an example.")
    made = made.to("cpu", torch.float64)  # Apple's cards have no such numbers
    if made.shape != (size,):
        raise BadRequest(
            f"Weights {list(made.shape)} for {size} examples.", "one number an example."
        )
    if not made.isfinite().all() or (made < 0).any():
        raise BadRequest("A weight is negative, NaN or Inf.", "weights of 0 or more.")
    mean = made.mean().clamp_min(torch.finfo(made.dtype).tiny)  # all zero: refused with the mean
    return (made / mean).to(device, torch.float32 if device.type == "mps" else torch.float64)


def _kinds(items: list[Any], ids: Tensor) -> str:
    """What the items are; where they differ, the first that is another than the one before it."""
    kinds = [type(item).__name__ for item in items]
    places = zip(ids.tolist(), kinds, strict=True)
    other = next(((place, kind) for place, kind in places if kind != kinds[0]), None)
    return kinds[0] if other is None else f"{kinds[0]}, and {other[1]} at {other[0]},"


def _as_tensors(item: Any) -> Any:
    """Lists of numbers in a mapping's entries as tensors, so that they are stacked."""
    if not isinstance(item, Mapping):
        return item
    return {
        key: torch.as_tensor(value)
        if isinstance(value, list) and value and not isinstance(value[0], str)
        else value
        for key, value in item.items()
    }


class _Independent(Subset[Any]):
    """Items that share no memory: a data set may make them all in one buffer."""

    def __getitem__(self, idx: Any) -> Any:
        return independent(self.dataset[self.indices[idx]])

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[place] for place in indices]
