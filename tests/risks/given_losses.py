"""The losses of the table: as a user gives them, and the same written apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu import TokenCrossEntropy

WEIGHT = torch.tensor([0.5, 2.0, 1.25])
POSITIVE = torch.tensor([0.5, 3.0, 1.5])

Total = Callable[[Tensor, Tensor], Tensor]
"""(outputs of the whole data in float64, targets) -> the sum of all examples' losses."""

Mass = Callable[[Tensor, Tensor], float]
"""(outputs, targets) -> what the mean over these examples is divided by."""


@dataclass(frozen=True)
class Case:
    """A loss as a user gives it, and the same written apart."""

    given: Callable[[], Any]
    total: Total
    mass: Mass
    family: str
    log_softmax: bool = False  # the model ends in one
    hidden: bool = False  # outputs are: no Gauss-Newton product, the tilted objective


def entropy(z: Tensor, y: Tensor, **given: Any) -> Tensor:
    if "weight" in given:
        given["weight"] = given["weight"].double()
    return functional.cross_entropy(z, y, reduction="sum", **given)


def examples(z: Tensor, y: Tensor) -> float:
    return float(len(z))


def elements(z: Tensor, y: Tensor) -> float:
    return float(z.numel())


def places(z: Tensor, y: Tensor, ignored: int = -100) -> float:
    if y.is_floating_point():
        return float(z.numel() // z.shape[1])
    return float((y != ignored).sum())


def heavy_places(z: Tensor, y: Tensor) -> float:
    if y.is_floating_point():
        return places(z, y)
    return float(sum(float(WEIGHT[c]) for c in y.flatten().tolist() if c >= 0))


def softly(z: Tensor, y: Tensor) -> Tensor:
    """A user's own loss, one value an example: real targets, or classes as numbers."""
    wanted = y.to(z) if y.is_floating_point() else functional.one_hot(y, z.shape[1]).to(z)
    return (z - wanted).square().add(1.0).sqrt().sum(1)


def of_tokens(z: Tensor, y: Tensor, *, mean: bool, shift: bool) -> Tensor:
    y = y[:, 1:] if shift else y
    z = z[:, : y.shape[1]]
    each = functional.cross_entropy(z.mT, y, reduction="none").sum(1)
    return (each / (y != -100).sum(1) if mean else each).sum()


def _softly_mean(z: Tensor, y: Tensor) -> Tensor:
    return softly(z, y).mean()


def _softly_sum(z: Tensor, y: Tensor) -> Tensor:
    return softly(z, y).sum()


def _of_model(model: nn.Module, batch: Any) -> Tensor:
    made = model(**{key: value for key, value in batch.items() if key != "labels"})
    return softly(made.logits, batch["labels"])


def _named_logits(model: nn.Module, batch: Any) -> Tensor:
    return model(**{key: value for key, value in batch.items() if key != "labels"}).logits


def _tokens(mean: bool, shift: bool) -> Case:
    return Case(
        lambda: TokenCrossEntropy(
            _named_logits, over_tokens="mean" if mean else "sum", shift=shift
        ),
        partial(of_tokens, mean=mean, shift=shift),
        examples,
        "tokens",
    )


def _huber(z: Tensor, y: Tensor) -> Tensor:
    far = (z - y).abs()
    return torch.where(far < 0.7, 0.5 * far.square(), 0.7 * (far - 0.35)).sum()


def _smooth(z: Tensor, y: Tensor) -> Tensor:
    far = (z - y).abs()
    return torch.where(far < 0.7, 0.5 * far.square() / 0.7, far - 0.35).sum()


def _binary(z: Tensor, y: Tensor, positive: Tensor | None = None) -> Tensor:
    positive = torch.ones(z.shape[1]) if positive is None else positive[: z.shape[1]]
    on, off = functional.logsigmoid(z), functional.logsigmoid(-z)
    return -(positive.double() * y * on + (1 - y) * off).sum()


def _classes(given: Callable[[], Any], mass: Mass = places, **changes: Any) -> Case:
    return Case(given, partial(entropy, **changes), mass, "classes")


LOSSES: dict[str, Case] = {
    "cross-entropy by name": _classes(lambda: "cross_entropy"),
    "cross-entropy object": _classes(nn.CrossEntropyLoss),
    "cross-entropy function": _classes(lambda: functional.cross_entropy),
    "cross-entropy, smoothed": _classes(
        lambda: partial(functional.cross_entropy, label_smoothing=0.2), label_smoothing=0.2
    ),
    "cross-entropy, class weights": _classes(
        lambda: nn.CrossEntropyLoss(WEIGHT), heavy_places, weight=WEIGHT
    ),
    "cross-entropy, weights and smoothing": _classes(
        lambda: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1),
        heavy_places,
        weight=WEIGHT,
        label_smoothing=0.1,
    ),
    "cross-entropy, ignored class": _classes(
        lambda: nn.CrossEntropyLoss(ignore_index=1), partial(places, ignored=1), ignore_index=1
    ),
    "cross-entropy, summed": _classes(lambda: nn.CrossEntropyLoss(reduction="sum"), examples),
    "negative log-likelihood": Case(nn.NLLLoss, entropy, places, "classes", log_softmax=True),
    "squared error by name": Case(
        lambda: "mse", lambda z, y: (z - y).square().sum(), elements, "values"
    ),
    "squared error object": Case(
        nn.MSELoss, lambda z, y: (z - y).square().sum(), elements, "values"
    ),
    "squared error, summed": Case(
        lambda: partial(functional.mse_loss, reduction="sum"),
        lambda z, y: (z - y).square().sum(),
        examples,
        "values",
    ),
    "binary cross-entropy by name": Case(lambda: "bce_with_logits", _binary, elements, "binary"),
    "binary cross-entropy, positive weights": Case(
        lambda: nn.BCEWithLogitsLoss(pos_weight=POSITIVE),
        partial(_binary, positive=POSITIVE),
        elements,
        "binary",
    ),
    "Huber": Case(lambda: nn.HuberLoss(delta=0.7), _huber, elements, "values"),
    "smooth L1": Case(
        lambda: partial(functional.smooth_l1_loss, beta=0.7), _smooth, elements, "values"
    ),
    "own function, mean": Case(
        lambda: _softly_mean, lambda z, y: softly(z, y).sum(), examples, "own"
    ),
    "own function, sum": Case(
        lambda: _softly_sum, lambda z, y: softly(z, y).sum(), examples, "own"
    ),
    "own function, one value an example": Case(
        lambda: softly, lambda z, y: softly(z, y).sum(), examples, "own"
    ),
    "own function of model and batch": Case(
        lambda: _of_model, lambda z, y: softly(z, y).sum(), examples, "hidden", hidden=True
    ),
    "tokens, mean": _tokens(mean=True, shift=True),
    "tokens, sum": _tokens(mean=False, shift=False),
}
