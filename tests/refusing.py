"""Requests that must be refused before anything is computed, and their data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    Dataset,
)

import curenu
from curenu.errors import (
    CurenuError,
)
from curenu.methods import StoCuReNU
from tests.problems import classes, inputs, mlp

SIZE = 17


class Untouched(StoCuReNU):
    """A method that must not be reached."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("something was computed before the request was refused")


def fingerprint(model: nn.Module) -> tuple[Any, ...]:
    """Every bit of the state, and the flags."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    modes = tuple(module.training for module in model.modules())
    return digest.hexdigest(), modes, tuple(p.requires_grad for p in model.parameters())


def refused(error: type[CurenuError], words: str, **changes: Any) -> None:
    """The request ends in that error, with a remedy, and nothing happened to the model."""
    problem = mlp()
    given: dict[str, Any] = {
        "model": problem.model,
        "dataset": problem.dataset,
        "loss": "cross_entropy",
        "forget": [1, 2],
        "method": Untouched(),
    } | changes
    before = None if _odd(given["model"]) else fingerprint(given["model"])
    with pytest.raises(error, match=words) as caught:
        curenu.unlearn(**given)
    assert caught.value.remedy
    if before is not None:
        assert fingerprint(given["model"]) == before


def _odd(model: nn.Module) -> bool:
    return any(isinstance(p, nn.UninitializedParameter) for p in model.parameters())


class Items(Dataset[Any]):
    """Items made by a function of their position."""

    def __init__(self, make: Callable[[int], Any], size: int = SIZE) -> None:
        self.make, self.size = make, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> Any:
        return self.make(place)


X, Y = inputs(SIZE, 4), classes(SIZE, 3)


def pair(place: int) -> tuple[Tensor, Tensor]:
    return X[place], Y[place]
