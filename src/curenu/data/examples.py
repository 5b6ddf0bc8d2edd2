"""A map-style dataset as batches of chosen examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

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

    @property
    def in_memory(self) -> bool:
        """Whether the examples are tensors that are there already."""
        return self._whole is not None

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

    def loader(self, positions: Tensor, size: int, generator: torch.Generator) -> DataLoader[Any]:
        """Batches of `size` of the examples at `positions`, shuffled anew at every pass.

        The items are as the dataset gives them: they stay on its device.
        """
        chosen = Subset(self._dataset, positions.tolist())
        return DataLoader(
            chosen, batch_size=size, shuffle=True, collate_fn=self._collate, generator=generator
        )
