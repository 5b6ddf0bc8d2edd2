"""`nn.EmbeddingBag` by operations that torch can differentiate twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["twice_differentiable_bags"]


def twice_differentiable_bags(model: nn.Module) -> nn.Module:
    """`model`, changed in place: its sums and means of embeddings have second derivatives.

    Torch's own kernel has none, in either order of derivatives. Values are the same to rounding.
    Bags of another kind stay (a maximum, renormalised rows, gradients scaled by frequency).
    """
    for module in model.modules():
        plain = type(module) is nn.EmbeddingBag and module.mode in ("mean", "sum")
        if plain and module.max_norm is None and not module.scale_grad_by_freq:
            module.__class__ = _PlainBag
    return model


class _PlainBag(nn.EmbeddingBag):
    """Rows looked up one by one and added to the bag that they belong to."""

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        words = input.flatten()
        if input.ndim == 2:
            count = len(input)
            owner = torch.arange(count, device=words.device).repeat_interleave(input.shape[1])
        else:
            if offsets is None:
                raise ValueError("offsets are needed for words in one axis")
            starts = (offsets[:-1] if self.include_last_offset else offsets).long()
            count = len(starts)
            places = torch.arange(len(words), device=words.device)
            owner = torch.searchsorted(starts, places, right=True) - 1
        rows = functional.embedding(words, self.weight)
        share = rows.new_ones(len(words))
        if self.padding_idx is not None:
            share = share * (words != self.padding_idx)
        if self.mode == "mean":
            there = share.new_zeros(count).index_add(0, owner, share)
            share = share / there.clamp(min=1.0)[owner]
        if per_sample_weights is not None:
            share = share * per_sample_weights.flatten()
        made = rows.new_zeros(count, rows.shape[1])
        return made.index_add(0, owner, rows * share.unsqueeze(1))
