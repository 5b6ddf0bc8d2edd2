"""The axes of the table of cells: losses, target layouts, dtypes, model kinds, batch forms."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import torch
from torch import Tensor

from tests.risks.given_losses import LOSSES

SIZE = 9  # examples: nine, two and one micro-batches of 1, 7 and 64
CLASSES = 3


@dataclass(frozen=True)
class Layout:
    """Shape of an example's outputs, and targets for all examples."""

    outputs: tuple[int, ...]
    targets: Callable[[torch.Generator], Tensor]


def _whole(*shape: int, ignored: float = 0.0, top: int = CLASSES) -> Callable[..., Tensor]:
    def make(generator: torch.Generator) -> Tensor:
        y = torch.randint(top, (SIZE, *shape), generator=generator)
        flat = y.flatten()
        flat[:top] = torch.arange(top)  # every class occurs
        if ignored:
            left_out = torch.rand(y.shape, generator=generator) < ignored
            left_out.view(SIZE, -1)[:, -1] = len(shape) == 0 and left_out.view(SIZE, -1)[:, -1]
            y = y.masked_fill(left_out, -100)
        return y

    return make


def _real(*shape: int) -> Callable[..., Tensor]:
    return lambda generator: torch.randn(SIZE, *shape, generator=generator, dtype=torch.float64)


def _soft(generator: torch.Generator) -> Tensor:
    made = torch.rand(SIZE, CLASSES, generator=generator, dtype=torch.float64)
    return made / made.sum(1, keepdim=True)


def _marks(generator: torch.Generator) -> Tensor:
    return torch.rand(SIZE, CLASSES, generator=generator).round().double()


LAYOUTS: dict[str, Layout] = {
    "classes [b]": Layout((CLASSES,), _whole()),
    "classes [b] with -100": Layout((CLASSES,), _whole(ignored=0.3)),
    "sequence [b, t]": Layout((CLASSES, 2), _whole(2)),
    "sequence [b, t], t = k": Layout((CLASSES, 3), _whole(3)),
    "sequence [b, t] with -100": Layout((CLASSES, 3), _whole(3, ignored=0.4)),
    "segmentation [b, h, w]": Layout((CLASSES, 2, 2), _whole(2, 2)),
    "probabilities [b, k]": Layout((CLASSES,), _soft),
    "several labels [b, k]": Layout((CLASSES,), _marks),
    "real values [b, k]": Layout((CLASSES,), _real(CLASSES)),
    "real values [b, 1]": Layout((1,), _real(1)),
    "tokens [b, t]": Layout((3, 4), _whole(3, ignored=0.3, top=4)),
    "classes as float [b]": Layout((CLASSES,), lambda g: _whole()(g).double()),
    "classes as a column [b, 1]": Layout((CLASSES,), _whole(1)),
    "classes as bool [b]": Layout((CLASSES,), lambda g: _whole()(g) > 0),
}

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
KINDS = ("mlp", "conv", "recurrent", "attention", "embedding", "scalar", "tied")
FORMS = (
    "tensor data set",
    "map-style pairs",
    "time-first collate",
    "text and offsets",
    "mapping with labels",
    "loader",
)

_TARGETS_OF = {
    "classes": (
        "classes [b]",
        "classes [b] with -100",
        "sequence [b, t]",
        "sequence [b, t], t = k",
        "sequence [b, t] with -100",
        "segmentation [b, h, w]",
        "probabilities [b, k]",
    ),
    "values": ("real values [b, k]", "real values [b, 1]"),
    "binary": ("several labels [b, k]", "probabilities [b, k]"),
    "own": ("classes [b]", "real values [b, k]"),
    "hidden": ("classes [b]", "real values [b, k]"),
    "tokens": ("tokens [b, t]",),
}


@dataclass(frozen=True)
class Cell:
    """One place of the table, by the names on its axes."""

    loss: str
    layout: str
    dtype: str
    kind: str
    form: str

    def __str__(self) -> str:
        return " / ".join(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.loss, self.layout, self.dtype, self.kind, self.form


def refusal(loss: str, layout: str) -> str | None:
    """What the error must say, for targets that a loss cannot mean; "" where that is no cell."""
    family = LOSSES[loss].family
    if family == "classes" and layout in _TARGETS_OF["classes"]:
        plain = loss not in ("cross-entropy, ignored class", "negative log-likelihood")
        if layout == "probabilities [b, k]" and not plain:
            return "whole-number classes"
        ignored = "-100" in layout and loss == "cross-entropy, ignored class"
        return r"or 1 for a target to be left out" if ignored else None
    if layout in _TARGETS_OF[family]:
        return None
    if family == "classes":
        words = {
            "classes as float [b]": "whole-number classes",
            "classes as a column [b, 1]": r"whole-number classes \[\d+\]",
            "classes as bool [b]": r"targets\.long\(\)",
        }
        return words.get(layout, "")
    if family == "values":
        words = {
            "classes [b]": "targets of the outputs' shape",
            "classes as a column [b, 1]": "targets of the outputs' shape",
            "classes as float [b]": "targets of the outputs' shape",
        }
        return words.get(layout, "")
    if family == "binary":
        words = {
            "real values [b, k]": "values from 0 to 1",
            "classes [b]": "targets of the outputs' shape",
        }
        return words.get(layout, "")
    return ""


def _makes_sense(cell: Cell) -> bool:
    mapping = cell.form == "mapping with labels"
    if LOSSES[cell.loss].family in ("hidden", "tokens") and not mapping:
        return False
    if LOSSES[cell.loss].family == "own" and mapping:
        return False  # there a user's function is given the model and the batch
    return cell.form != "text and offsets" or cell.kind == "embedding"


def _all(refused: bool) -> list[Cell]:
    pairs = [
        (loss, layout)
        for loss, layout in product(LOSSES, LAYOUTS)
        if refusal(loss, layout) != "" and (refusal(loss, layout) is not None) == refused
    ]
    cells = (Cell(*pair, *rest) for pair, rest in product(pairs, product(DTYPES, KINDS, FORMS)))
    return [cell for cell in cells if _makes_sense(cell)]


def pairs_of(cell: Cell) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    yield from combinations(enumerate(cell.names), 2)  # type: ignore[misc]


def chosen(refused: bool, least: int) -> list[Cell]:
    """At least so many cells in which every pair of names that occurs at all occurs."""
    everything = _all(refused)
    draw = random.Random(0)
    draw.shuffle(everything)
    missing = {pair for cell in everything for pair in pairs_of(cell)}
    found: list[Cell] = []
    while missing:
        among = draw.sample(everything, min(400, len(everything)))
        best = max(among, key=lambda cell: sum(pair in missing for pair in pairs_of(cell)))
        if not any(pair in missing for pair in pairs_of(best)):
            best = next(c for c in everything if any(p in missing for p in pairs_of(c)))
        found.append(best)
        missing.difference_update(pairs_of(best))
    taken = set(found)
    found += [cell for cell in everything if cell not in taken][: max(0, least - len(found))]
    return found


def possible_pairs(refused: bool) -> set[Any]:
    return {pair for cell in _all(refused) for pair in pairs_of(cell)}
