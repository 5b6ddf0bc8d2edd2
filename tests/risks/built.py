"""Models and data sets of the table's cells, as a user would have them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.risks.cells import DTYPES, LAYOUTS, SIZE, Cell
from tests.risks.given_losses import LOSSES

WORDS = 6


class Scaled(nn.Module):
    """A scalar parameter: a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x)) * self.scale.exp()


class TiedBody(nn.Module):
    """One matrix used twice, the second time transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3, bias=False)
        self.decoder = nn.Linear(3, 4, bias=False)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.tanh(self.encoder(x)), self.decoder.weight.mT)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0].mean(1)


class AttentionBody(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.into(x).chunk(3, dim=-1)
        return torch.tanh(functional.scaled_dot_product_attention(*parts)).mean(1)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(WORDS, 3, mode="mean")
        self.by_hand = False  # torch cannot differentiate the kernel twice: the oracle does without

    def forward(self, text: Tensor, offsets: Tensor | None = None) -> Tensor:
        if not self.by_hand:
            return torch.tanh(self.bag(text, offsets))
        bags = list(text) if offsets is None else list(text.tensor_split(offsets[1:]))
        return torch.tanh(torch.stack([self.bag.weight[words].mean(0) for words in bags]))


def _real(*shape: int) -> Callable[[torch.Generator], Tensor]:
    return lambda generator: torch.randn(SIZE, *shape, generator=generator, dtype=torch.float64)


def _text(generator: torch.Generator) -> Tensor:
    return torch.randint(WORDS, (SIZE, 3), generator=generator)


BODIES: dict[str, tuple[Callable[[], nn.Module], int, Callable[[torch.Generator], Tensor]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), 3, _real(4)),
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 2, stride=2), nn.Softplus(), nn.Flatten()),
        8,
        _real(1, 4, 4),
    ),
    "recurrent": (Recurrent, 2, _real(3, 2)),
    "attention": (AttentionBody, 2, _real(3, 2)),
    "embedding": (Bag, 3, _text),
    "scalar": (Scaled, 3, _real(4)),
    "tied": (TiedBody, 4, _real(4)),
}


class Net(nn.Module):
    """A body, and a head whose outputs have the layout's shape."""

    def __init__(self, kind: str, outputs: tuple[int, ...], log_softmax: bool) -> None:
        super().__init__()
        build, width, _ = BODIES[kind]
        self.body, self.outputs, self.log_softmax = build(), outputs, log_softmax
        self.head = nn.Linear(width, torch.Size(outputs).numel())

    def forward(self, *inputs: Tensor) -> Tensor:
        z = self.head(self.body(*inputs)).unflatten(1, self.outputs)
        return z.log_softmax(1) if self.log_softmax else z


class TimeFirst(nn.Module):
    """Takes inputs with examples along the second axis."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.transpose(0, 1))


class WithLogits(nn.Module):
    """Takes entries by keyword, the first of which has nothing to do with the examples."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *, position_ids: Tensor, x: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.net(x), hidden=position_ids)


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, x: Any, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return self.x[place], self.y[place]


class Rows(Pairs):
    def __getitem__(self, place: int) -> dict[str, Tensor]:  # type: ignore[override]
        return {"x": self.x[place], "labels": self.y[place]}


def time_first(items: list[Any]) -> tuple[Tensor, Tensor]:
    x, y = zip(*items, strict=True)
    return torch.stack(x, 1), torch.stack(y)


def bags(items: list[Any]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    text, y = zip(*items, strict=True)
    ends = torch.tensor([0, *map(len, text)]).cumsum(0)
    return (torch.cat(text), ends[:-1]), torch.stack(y)


def rows(items: list[Any]) -> dict[str, Tensor]:
    parts = {key: torch.stack([item[key] for item in items]) for key in ("x", "labels")}
    return {"position_ids": torch.arange(2), **parts}


@dataclass(frozen=True)
class Built:
    """What a user has, and beside it the network, all inputs and targets for the oracle."""

    model: nn.Module
    dataset: Any
    loss: Any
    collate: Any
    net: Net
    inputs: tuple[Tensor, ...]
    targets: Tensor


def built(cell: Cell) -> Built:
    layout, case, dtype = LAYOUTS[cell.layout], LOSSES[cell.loss], DTYPES[cell.dtype]
    generator = torch.Generator().manual_seed(zlib.crc32(str(cell).encode()))
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        net = Net(cell.kind, layout.outputs, case.log_softmax).to(dtype)
    x, y = BODIES[cell.kind][2](generator), layout.targets(generator)
    x = x.to(dtype) if x.is_floating_point() else x
    y = y.to(dtype) if y.is_floating_point() else y
    inputs: tuple[Tensor, ...] = (x,)
    model: nn.Module = net
    collate: Any = None
    dataset: Any = TensorDataset(x, y)
    if cell.form == "map-style pairs":
        dataset = Pairs(x, y)
    elif cell.form == "time-first collate":
        model, collate = TimeFirst(net), time_first
    elif cell.form == "text and offsets":
        text = [row[: 1 + place % 3] for place, row in enumerate(x)]
        dataset, collate = Pairs(text, y), bags
        inputs = bags([dataset[place] for place in range(SIZE)])[0]
    elif cell.form == "mapping with labels":
        model, dataset, collate = WithLogits(net), Rows(x, y), rows
    elif cell.form == "loader":
        dataset = DataLoader(Pairs(x, y), batch_size=2, shuffle=True, collate_fn=time_first)
        model = TimeFirst(net)
    wide = tuple(part.double() if part.is_floating_point() else part for part in inputs)
    return Built(model, dataset, case.given(), collate, net, wide, y)
