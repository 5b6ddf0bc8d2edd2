"""A map-style dataset as batches of chosen examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset, TensorDataset, default_collate

from curenu.checks import size_of
from curenu.errors import BadRequest

__all__ = ["Examples"]


class Examples:
    """Fetches batches `(input, target)` or mappings by position, on the model's device.

    Tensor datasets are indexed whole; any other goes item by item through `collate`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        collate: Callable[[list[Any]], Any] | None,
        device: torch.device,
    ) -> None:
        self.size = size_of(dataset)
        self._dataset = dataset
        self._collate = collate or default_collate
        self._whole = dataset.tensors if type(dataset) is TensorDataset and not collate else None
        self._device = device

    def batch(self, positions: Tensor) -> Any:
        """The collated examples at `positions` `[b]`."""
        if self._whole is not None:
            return tuple(tensor[positions].to(self._device) for tensor in self._whole)
        chosen = positions.tolist()
        many = getattr(self._dataset, "__getitems__", None)
        items: Sequence[Any] = many(chosen) if many else [self._dataset[i] for i in chosen]
        batch = self._collate(list(items))
        if not isinstance(batch, Mapping) and not (
            isinstance(batch, list | tuple) and len(batch) == 2
        ):
            raise BadRequest(
                f"Items collate to {type(batch).__name__}.",
                "items that are (input, target) pairs or mappings.",
            )
        return pytree.tree_map_only(Tensor, lambda tensor: tensor.to(self._device), batch)
