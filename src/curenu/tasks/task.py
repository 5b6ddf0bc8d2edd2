"""A task: real data, a network, a loss and the recipe that trains it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from curenu.checks import size_of
from curenu.errors import BadRequest
from curenu.losses import Loss
from curenu.risks import TrainingTime
from curenu.tasks.recipe import Progress, Recipe, Watch, train
from curenu.user_code import calling

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """Everything needed to train a network, erase from it and judge the result.

    `build` makes a freshly initialised network from torch's generator. `train` and `test`
    are map-style datasets; `ids` names the training examples (positions by default) and
    `labels` `[n]` are their classes, for requests by class (taken from a tensor dataset's
    integer targets unless given). `groups` says whom each training example is about, for
    requests that erase a whole person. `decisions` turns (outputs, targets) into logits
    `[m, k]` and classes `[m]` where they are not that already, `measure` gives per-example
    quantities of a model that only this task knows. `source` says where the data come from.
    """

    name: str
    build: Callable[[], nn.Module]
    train: Dataset[Any]
    test: Dataset[Any]
    loss: Loss
    recipe: Recipe
    labels: Tensor | None = None
    ids: Sequence[Hashable] | None = None
    groups: Sequence[Hashable] | None = None
    decisions: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    measure: Callable[[nn.Module], Mapping[str, NDArray[Any]]] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Raises `BadRequest` where ids, labels or groups are not one an example."""
        if self.labels is not None and not isinstance(self.labels, Tensor):
            object.__setattr__(self, "labels", _tensor_of(self.labels))
        count = size_of(self.train)
        for name in ("ids", "labels", "groups"):
            given = getattr(self, name)
            if given is not None and len(given) != count:
                raise BadRequest(
                    f"Task {self.name} has {count} training examples and {len(given)} {name}.",
                    f"`{name}` with one entry an example, in the order of `train`.",
                )
        if self.labels is not None and (self.labels.ndim != 1 or self.labels.is_floating_point()):
            raise BadRequest(
                f"Labels of shape {list(self.labels.shape)} and type {self.labels.dtype}.",
                "one whole number an example, `[n]`.",
            )

    @property
    def classes(self) -> Tensor:
        """Class of every training example, `[n]`; `BadRequest` when there is none."""
        if self.labels is not None:
            return self.labels
        if isinstance(self.train, TensorDataset):
            targets = self.train.tensors[-1]
            if targets.ndim == 1 and not targets.is_floating_point():
                return targets
        raise BadRequest(f"Task {self.name} has no classes.", "ids, or a task with `labels`.")

    @property
    def training_time(self) -> TrainingTime:
        """How long the recipe follows the gradient."""
        return self.recipe.time(size_of(self.train))

    def decided(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[m, k]` and classes `[m]`: by `decisions`, or as they are without it."""
        if self.decisions is None:
            return outputs, targets
        with calling("`decisions` of the task"):
            return self.decisions(outputs, targets)

    def initialise(self, seed: int) -> nn.Module:
        """A new network; the same seed gives the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with calling("`build` of the task"):
                made: Any = self.build()
        if not isinstance(made, nn.Module):
            raise BadRequest(
                f"`build` of the task returned a {type(made).__name__}.", "a new `torch.nn.Module`."
            )
        return made

    def train_model(
        self,
        seed: int,
        *,
        ids: Sequence[int] | Tensor | None = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> nn.Module:
        """A network trained by the recipe on the examples `ids` (None: all), in eval mode.

        The same seed and examples give the same weights, bit for bit on one machine; `watch`,
        told the optimiser and the network before the first step, may look and not touch.
        """
        return train(
            self.initialise(seed),
            self.train,
            self.loss,
            self.recipe,
            generator=torch.Generator().manual_seed(seed + 1),
            ids=ids,
            progress=progress,
            watch=watch,
        )


def _tensor_of(labels: Any) -> Tensor:
    """Labels given as a list or an array."""
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadRequest(
            f"Labels cannot be made a tensor: {error}.", "one whole number an example, `[n]`."
        ) from error
