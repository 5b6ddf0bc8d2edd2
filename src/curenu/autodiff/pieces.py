"""A vector in the shapes of the parameters it belongs to, and the memory that graphs hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Pieces", "accumulate", "graph_bytes", "pieces_of"]

Pieces = Sequence[Tensor | None]
"""One tensor a parameter, in its shape; None is zero."""


def accumulate(total: Tensor, pieces: Pieces, leaves: Sequence[Tensor]) -> None:
    """Add `pieces`, shaped as `leaves` (None is zero), to the vector `total` `[d]` in place."""
    with torch.no_grad():
        for place, piece in zip(pieces_of(total, leaves), pieces, strict=True):
            if piece is not None:
                place += piece


def pieces_of(vector: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Views of a vector `[..., d]` in the leaves' shapes, leading dimensions kept."""
    lead = vector.shape[:-1]
    parts = vector.split([leaf.numel() for leaf in leaves], dim=-1)
    return [part.reshape((*lead, *leaf.shape)) for part, leaf in zip(parts, leaves, strict=True)]


def graph_bytes(build: Callable[[], object]) -> int:
    """Bytes that the graph of one micro-batch keeps alive; the graph is thrown away."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        if tensor._is_zerotensor():  # takes no memory
            return tensor
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would tie a cycle that is never freed

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        build()
    return sum(storages.values())
