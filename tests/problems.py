"""Small problems with known answers, made afresh by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset


@dataclass(frozen=True)
class Problem:
    """A model, its data and loss; `micro_batch_size` small enough to need several."""

    model: nn.Module
    dataset: Dataset[Any]
    loss: Any
    weight_decay: float = 1e-2
    micro_batch_size: int = 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def initialised(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network in float64 whose initialisation leaves the global generator alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def classes(size: int, count: int, seed: int = 2) -> Tensor:
    return torch.randint(count, (size,), generator=generator(seed))


def mlp() -> Problem:
    """A tanh network: indefinite Hessian away from its minimum."""
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    return Problem(model, TensorDataset(inputs(17, 4), classes(17, 3)), "cross_entropy")


def regression() -> Problem:
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)))
    return Problem(model, TensorDataset(inputs(13, 4), inputs(13, 2, seed=3)), "mse")


def cnn() -> Problem:
    model = initialised(
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            nn.Softplus(),
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(16, 3),
        )
    )
    data = TensorDataset(inputs(11, 1, 8, 8), classes(11, 3))
    return Problem(model, data, nn.CrossEntropyLoss(reduction="sum"))


def batch_norm() -> Problem:
    """Left in training mode on purpose, with running statistics that are not the default."""
    model = initialised(
        lambda: nn.Sequential(
            nn.Linear(4, 6),
            nn.BatchNorm1d(6),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(6, 3),
        )
    )
    with torch.random.fork_rng():
        model(inputs(9, 4, seed=5))
    return Problem(model.train(), TensorDataset(inputs(14, 4), classes(14, 3)), "cross_entropy")


class Tied(nn.Module):
    """Encoder and decoder share one matrix; a third matrix is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4, bias=False)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight
        self.frozen = nn.Linear(4, 4)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.frozen(self.encoder(x))))


def tied() -> Problem:
    return Problem(initialised(Tied), TensorDataset(inputs(12, 4), classes(12, 4)), "cross_entropy")


class Attention(nn.Module):
    """One block of self-attention over six steps, by the fused kernel where it can."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(
            8, 2, dim_feedforward=12, dropout=0.1, activation="gelu", batch_first=True
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x).mean(1))


def attention() -> Problem:
    data = TensorDataset(inputs(9, 6, 8), classes(9, 3))
    return Problem(initialised(Attention), data, "cross_entropy", micro_batch_size=4)


class Sentences(Dataset[dict[str, Tensor]]):
    """Mapping-valued items of token ids and labels, as language models take them."""

    def __init__(self, size: int = 10) -> None:
        self.tokens = torch.randint(20, (size, 7), generator=generator(4))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"tokens": self.tokens[index, :-1], "labels": self.tokens[index, 1:]}


def next_token_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean over an example's tokens, one value an example."""
    logits = model(batch["tokens"])
    losses = functional.cross_entropy(logits.mT, batch["labels"], reduction="none")
    return losses.mean(1)


def mapping() -> Problem:
    model = initialised(lambda: nn.Sequential(nn.Embedding(20, 5), nn.Tanh(), nn.Linear(5, 20)))
    return Problem(model, Sentences(), next_token_loss, micro_batch_size=3)


def logistic(size: int = 60) -> Problem:
    """Ridge logistic regression: strictly convex, so retraining has one answer."""
    model = initialised(lambda: nn.Linear(5, 3))
    return Problem(
        model,
        TensorDataset(inputs(size, 5), classes(size, 3)),
        "cross_entropy",
        1e-2,
        16,
    )


def dead_relu() -> Problem:
    """Every unit is off: gradient and Hessian of the first layer vanish."""
    model = initialised(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # type: ignore[union-attr]
    return Problem(model, TensorDataset(inputs(8, 3), classes(8, 2)), "cross_entropy", 0.0)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "mlp": mlp,
    "regression": regression,
    "cnn": cnn,
    "batch_norm": batch_norm,
    "tied": tied,
    "attention": attention,
    "mapping": mapping,
    "logistic": logistic,
    "dead_relu": dead_relu,
}
