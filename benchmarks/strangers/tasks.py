"""Sixteen small tasks of kinds that the defaults were not found on.

No two share data, network and recipe. Those of `DEVELOPMENT` may decide something; those of
`REPORT` are only reported. What data are made here is drawn with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sklearn.datasets
import torch
from networks import Attention, BagOfWords, Convolutions, FrozenFeatures, Recurrent, layers
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.losses import Loss
from curenu.tasks import Recipe, Task

__all__ = ["DEVELOPMENT", "REPORT", "Stranger"]


@dataclass(frozen=True)
class Stranger:
    """A task and what is erased from it: shares at random, or a class, group or wrong labels."""

    name: str
    make: Callable[[], Task]
    erasures: tuple[str, ...]


def _task(
    name: str,
    data: tuple[Tensor, Tensor],
    build: Callable[[], nn.Module],
    loss: Loss,
    recipe: Recipe,
    test: int,
) -> Task:
    """The last `test` examples are never trained on."""
    x, y = data
    train, held = TensorDataset(x[:-test], y[:-test]), TensorDataset(x[-test:], y[-test:])
    return Task(name, build, train, held, loss, recipe)


def _table(load: Callable[..., Any], *, regression: bool = False) -> tuple[Tensor, Tensor]:
    """A table of scikit-learn's, standardised and shuffled."""
    found = load()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(found.data).float()[order], torch.tensor(found.target)[order]
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-6)
    if not regression:
        return x, y.long()
    y = y.float()
    return x, ((y - y.mean()) / y.std())[:, None]


def _blobs(count: int, classes: int, features: int, seed: int, **others: Any) -> Any:
    x, y = sklearn.datasets.make_classification(
        count, features, n_informative=features // 2, n_classes=classes, random_state=seed, **others
    )
    return torch.tensor(x).float(), torch.tensor(y).long()


def _sentences(count: int, words: int, steps: int, classes: int, seed: int) -> Any:
    """Words `[n, t]` of a chain whose transitions differ a little from class to class."""
    g = torch.Generator().manual_seed(seed)
    chains = torch.rand(classes, words, words, generator=g).pow(6) + 0.02
    y = torch.randint(classes, (count,), generator=g)
    made = [torch.randint(words, (count,), generator=g)]
    for _ in range(steps - 1):
        made.append(torch.multinomial(chains[y, made[-1]], 1, generator=g)[:, 0])
    return torch.stack(made, 1), y


def _images(count: int, side: int, classes: int, seed: int) -> Any:
    """Noisy sums of a class's two patterns, moved by a pixel at most."""
    g = torch.Generator().manual_seed(seed)
    patterns = functional.interpolate(
        torch.randn(1, 2 * classes, side // 3, side // 3, generator=g), (side, side)
    )[0].view(classes, 2, side, side)
    y = torch.randint(classes, (count,), generator=g)
    mixed = torch.rand(count, 2, 1, 1, generator=g)
    x = (patterns[y] * mixed).sum(1) + 0.8 * torch.randn(count, side, side, generator=g)
    moves = torch.randint(-1, 2, (count,), generator=g).tolist()
    return torch.stack([image.roll(move, 1) for image, move in zip(x, moves, strict=True)]), y


def _digits() -> Any:
    found = sklearn.datasets.load_digits()
    return torch.tensor(found.images).float() / 16, torch.tensor(found.target)


def _friedman(count: int, seed: int) -> Any:
    x, y = sklearn.datasets.make_friedman1(count, noise=1.0, random_state=seed)
    return torch.tensor(x).float(), ((torch.tensor(y).float() - 14) / 5)[:, None]


def _own_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return -outputs.log_softmax(1).gather(1, targets[:, None]).mean()


def _pinball(outputs: Tensor, targets: Tensor) -> Tensor:
    """Smoothed absolute error, one value an example."""
    return ((outputs - targets).square() + 0.01).sqrt().sum(1)


def _binary(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.float())


def _adam(epochs: int, batch: int, rate: float, **others: Any) -> Recipe:
    return Recipe(epochs, batch, rate, optimizer="adam", **others)


_WEIGHTED = nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 4.0]))

DEVELOPMENT = (
    Stranger(
        "wine, perceptron, Adam",
        lambda: _task("wine", _table(sklearn.datasets.load_wine), partial(layers, 13, 16, 3),
                      "cross_entropy", _adam(60, 16, 1e-2), 38),
        ("one", "10 %", "class"),
    ),
    Stranger(
        "digits, batch norm, momentum",
        lambda: _task("digits-bn", _digits(), partial(Convolutions, 8, 10, "batch"),
                      nn.CrossEntropyLoss(), Recipe(15, 32, 0.05), 360),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "sentences, GRU, a loss of one's own",
        lambda: _task("gru", _sentences(3000, 40, 12, 4, 1), partial(Recurrent, 40, 4, "gru"),
                      _own_cross_entropy, _adam(12, 64, 5e-3, schedule="constant"), 1000),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "diabetes, regression, momentum",
        lambda: _task("diabetes", _table(sklearn.datasets.load_diabetes, regression=True),
                      partial(layers, 10, 24, 1), "mse", Recipe(40, 32, 0.01), 100),
        ("one", "10 %", "40 %"),
    ),
    Stranger(
        "rare class, class weights, under-trained",
        lambda: _task("rare", _blobs(4000, 3, 20, 3, weights=[0.8, 0.15, 0.05]),
                      partial(layers, 20, 32, 3, norm=True), _WEIGHTED,
                      Recipe(2, 64, 0.02, schedule="constant"), 1000),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "breast cancer, logistic regression to the minimum",
        lambda: _task("cancer", _table(sklearn.datasets.load_breast_cancer),
                      partial(nn.Linear, 30, 2), "cross_entropy",
                      Recipe(400, 114, 0.5, weight_decay=1e-2), 113),
        ("one", "10 %", "40 %"),
    ),
    Stranger(
        "rows, attention, Adam",
        lambda: _task("attention", _images(4000, 12, 6, 7), partial(Attention, 12, 12, 6),
                      "cross_entropy", _adam(10, 64, 2e-3), 1000),
        ("1 %", "10 %", "wrong labels"),
    ),
    Stranger(
        "100,000 rows, perceptron, momentum",
        lambda: _task("large", _blobs(105_000, 5, 24, 5), partial(layers, 24, 64, 5),
                      "cross_entropy", Recipe(5, 256, 0.05), 5000),
        ("1 %", "10 %", "class"),
    ),
)  # fmt: skip

REPORT = (
    Stranger(
        "200 points, perceptron, Adam",
        lambda: _task("moons", _blobs(240, 4, 8, 11, n_clusters_per_class=1),
                      partial(layers, 8, 24, 4), "cross_entropy", _adam(50, 16, 1e-2), 40),
        ("one", "10 %", "class"),
    ),
    Stranger(
        "images, group norm, momentum",
        lambda: _task("images", _images(5000, 16, 8, 13), partial(Convolutions, 16, 8, "group"),
                      "cross_entropy", Recipe(10, 64, 0.03), 1000),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "sentences, LSTM, cross-entropy by object",
        lambda: _task("lstm", _sentences(4000, 60, 10, 5, 17), partial(Recurrent, 60, 5, "lstm"),
                      nn.CrossEntropyLoss(label_smoothing=0.05), _adam(12, 64, 5e-3), 1000),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "sentences, bag of words, momentum",
        lambda: _task("bag", _sentences(6000, 80, 20, 6, 19), partial(BagOfWords, 80, 6),
                      "cross_entropy", Recipe(20, 64, 0.3), 1000),
        ("one", "10 %", "wrong labels"),
    ),
    Stranger(
        "Friedman's function, a robust loss of one's own",
        lambda: _task("friedman", _friedman(3000, 23), partial(layers, 10, 32, 32, 1),
                      _pinball, _adam(20, 64, 3e-3), 1000),
        ("1 %", "10 %", "40 %"),
    ),
    Stranger(
        "frozen features, a head, momentum",
        lambda: _task("frozen", _blobs(4000, 6, 30, 29, n_clusters_per_class=1),
                      partial(FrozenFeatures, 30, 6), nn.CrossEntropyLoss(),
                      Recipe(20, 64, 0.05), 1000),
        ("1 %", "10 %", "class"),
    ),
    Stranger(
        "two classes, one logit, constant rate",
        lambda: _task("binary", _blobs(3000, 2, 16, 31), partial(layers, 16, 32, 1),
                      _binary, Recipe(15, 64, 0.02, schedule="constant"), 1000),
        ("one", "10 %", "40 %"),
    ),
    Stranger(
        "60,000 rows, deep perceptron with layer norm, Adam",
        lambda: _task("deep", _blobs(65_000, 8, 32, 37), partial(layers, 32, 64, 64, 8, norm=True),
                      "cross_entropy", _adam(6, 128, 2e-3), 5000),
        ("1 %", "10 %", "class"),
    ),
)  # fmt: skip
