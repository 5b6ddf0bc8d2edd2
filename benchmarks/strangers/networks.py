"""Small networks of many kinds, as strangers bring them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Attention", "BagOfWords", "Convolutions", "FrozenFeatures", "Recurrent", "layers"]


def layers(*sizes: int, norm: bool = False) -> nn.Module:
    """A perceptron with ReLU between linear layers; with `norm` a layer norm before each ReLU."""
    made: list[nn.Module] = []
    for wide, narrow in pairwise(sizes[:-1]):
        made += [nn.Linear(wide, narrow), *([nn.LayerNorm(narrow)] if norm else []), nn.ReLU()]
    return nn.Sequential(*made, nn.Linear(sizes[-2], sizes[-1]))


class Convolutions(nn.Module):
    """Two convolutions with a norm after each, on images `[b, side, side]`."""

    def __init__(self, side: int, classes: int, norm: str, width: int = 8) -> None:
        super().__init__()

        def normed(count: int) -> nn.Module:
            return nn.BatchNorm2d(count) if norm == "batch" else nn.GroupNorm(4, count)

        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), normed(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), normed(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images.unsqueeze(1)))


class Attention(nn.Module):
    """One block of attention over the rows of `[b, t, f]`, and their mean."""

    def __init__(self, features: int, steps: int, classes: int, width: int = 24) -> None:
        super().__init__()
        self.inner = nn.Linear(features, width)
        self.places = nn.Parameter(0.1 * torch.randn(steps, width))
        self.block = nn.TransformerEncoderLayer(
            width, 2, 2 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.head = nn.Linear(width, classes)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.block(self.inner(rows) + self.places).mean(1))


class Recurrent(nn.Module):
    """A GRU or LSTM over the words `[b, t]` of a sentence; its last state decides."""

    def __init__(self, words: int, classes: int, kind: str, width: int = 24) -> None:
        super().__init__()
        self.table = nn.Embedding(words, 12)
        self.cell = getattr(nn, kind.upper())(12, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.cell(self.table(words))[0][:, -1])


class BagOfWords(nn.Module):
    """The mean of the words' vectors, and a linear layer."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(words, 16, mode="mean")
        self.head = nn.Linear(16, classes)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.table(words))


class FrozenFeatures(nn.Module):
    """Random features that do not move, and a head that does."""

    def __init__(self, inputs: int, classes: int, width: int = 200) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(5)
        body = nn.Linear(inputs, width)
        with torch.no_grad():
            body.weight.copy_(torch.randn(width, inputs, generator=drawn) / inputs**0.5)
            body.bias.copy_(torch.randn(width, generator=drawn))
        self.body = body.requires_grad_(False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu())
