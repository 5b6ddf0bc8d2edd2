"""What a large model's erasure is described by, and how the case's networks are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from curenu.tasks import Task, train

__all__ = ["FORGOTTEN", "Case", "Scale", "Training"]

FORGOTTEN = 1
"""The class whose examples are erased."""


@dataclass(frozen=True)
class Scale:
    """How much of it: examples, training, and the erasure's samples and steps.

    No more than `test_examples` of the forget, the retain and the test set are compared.
    """

    examples: int
    test_examples: int
    epochs: int
    sample: int
    steps: int
    size: int = 0  # pixels a side, or tokens a text
    oracles: int = 2
    network: str = ""  # where the small form has another


@dataclass(frozen=True)
class Case:
    """A network with its data, how it is trained, and what moves in the erasure.

    `share` of class 1 is erased. With `head_alone` nothing else moves, and training and erasure
    see what the rest makes of the inputs, which is made once. `options` are told as they are.
    """

    title: str
    data_title: str
    task: Callable[[Scale], Task]
    scale: Scale
    smoke: Scale
    head_alone: bool = False
    micro_batch: int = 64
    preconditioner: str = "auto"
    share: float = 0.5
    options: Mapping[str, Any] = field(default_factory=dict)


class Training:
    """Trains the case's network; where only a head moves, on features kept once."""

    def __init__(self, case: Case, scale: Scale) -> None:
        self.task = case.task(scale)
        self._features = self._kept() if case.head_alone else None

    def __call__(self, seed: int, ids: Sequence[int] | None = None) -> nn.Module:
        """A network trained on the examples `ids` (None: all), in eval mode."""
        task = self.task
        if self._features is None:
            return task.train_model(seed, ids=ids)
        net: Any = task.initialise(seed)
        generator = torch.Generator().manual_seed(seed + 1)
        train(net.head, self._features, task.loss, task.recipe, generator=generator, ids=ids)
        return net.eval()

    def moving(self, net: nn.Module) -> tuple[nn.Module, Dataset[Any]]:
        """The part of `net` that moves, and the examples as it sees them."""
        if self._features is None:
            return net, self.task.train
        return cast(Any, net).head, self._features

    def whole(self, net: nn.Module, part: nn.Module) -> nn.Module:
        """A network as `net` but for the part that moves, which is `part`."""
        if self._features is None:
            return part
        other: Any = copy.copy(net)
        other._modules = net._modules | {"head": part}
        return other

    def _kept(self) -> TensorDataset:
        """What the head sees of every training example; the rest is the same in every network."""
        assert isinstance(self.task.train, TensorDataset)
        net: Any = self.task.initialise(0)
        images, classes = self.task.train.tensors
        with torch.no_grad():
            return TensorDataset(torch.cat([net.features(p) for p in images.split(64)]), classes)
