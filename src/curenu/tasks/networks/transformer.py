"""A small transformer that sorts short texts, given as rows of word numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PADDING", "TextTransformer"]

PADDING = 0
"""The number that fills rows up to their length; it is never attended to."""


class _Layer(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )  # fmt: skip

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = x + self._attention(self.attention_norm(x), there)
        return x + self.mlp(self.mlp_norm(x))

    def _attention(self, x: Tensor, there: Tensor) -> Tensor:
        split = self.projections(x).unflatten(2, (3, self.heads, -1))  # [b, t, 3, heads, e]
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mask = there[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.joined(mixed.transpose(1, 2).flatten(2))


class TextTransformer(nn.Module):
    """Words `[b, t]` to class scores `[b, classes]`: embeddings, layers, a mean over words.

    A row must hold one word or more.
    """

    def __init__(
        self, words: int, length: int, classes: int, *, width: int = 48, layers: int = 1
    ) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(_Layer(width, heads=4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        for table in (self.word, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, words: Tensor) -> Tensor:
        there = words != PADDING
        x = self.word(words) + self.place(torch.arange(words.shape[1], device=words.device))
        for layer in self.layers:
            x = layer(x, there)
        weights = there.to(x.dtype) / there.sum(1, keepdim=True)
        return self.head((self.norm(x) * weights.unsqueeze(2)).sum(1))
