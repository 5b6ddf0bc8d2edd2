"""Training with its seconds: what one training costs, without what only the first one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from curenu.checkpoints import Checkpoint
from curenu.checks import size_of
from curenu.cost import clock
from curenu.errors import IllPosed
from curenu.recorder import TrainingRecorder
from curenu.tasks import Task, train

__all__ = ["TrainedNetwork", "timed_training", "warm_up"]

Progress = Callable[[int, int], None]

_STEPS = 2  # of a throw-away training


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, its seed, the seconds that one training took; what it passed through."""

    model: nn.Module
    seed: int
    seconds: float
    checkpoints: tuple[Checkpoint, ...] = ()


def timed_training(
    task: Task,
    seed: int,
    *,
    ids: Sequence[int] | Tensor | None = None,
    progress: Progress | None = None,
    checkpoints: int = 0,
) -> TrainedNetwork:
    """The network of `seed` trained on `ids`, timed after a few steps on a throw-away one.

    It comes with the weights of as many moments of training as `checkpoints`, of which twice
    as many are in memory meanwhile; none of a training by Adam, which no erasure can use.

    Raises `IllPosed` when training diverges.
    """
    warm_up(task, ids=ids)
    recorders: list[TrainingRecorder] = []

    def record(optimizer: Optimizer, model: nn.Module) -> None:
        recorders.append(TrainingRecorder(optimizer, model, checkpoints=checkpoints))

    followed = checkpoints > 0 and task.training_time.adaptive_batch is None
    start = clock()
    model = task.train_model(seed, ids=ids, progress=progress, watch=record if followed else None)
    seconds = clock() - start
    kept = _on_the_clock_of(task, recorders[0]) if followed else ()
    bad = [name for name, tensor in model.state_dict().items() if not _finite(tensor)]
    if bad:
        raise IllPosed(
            f"Training ended in NaN or Inf, first in {bad[0]}.",
            "a smaller learning rate, or cleaning the data.",
        )
    return TrainedNetwork(model, seed, seconds, kept)


def _on_the_clock_of(task: Task, recorder: TrainingRecorder) -> tuple[Checkpoint, ...]:
    """Its checkpoints, at their share of the time that the task's recipe says."""
    recorded, told = recorder.training_time(), task.training_time.total
    assert recorded.total is not None, "the optimiser's rates are known"
    assert told is not None, "the recipe's rates are known"
    return tuple(
        replace(one, time=min(one.time / recorded.total, 1.0) * told)
        for one in recorded.checkpoints
    )


def warm_up(task: Task, *, ids: Sequence[int] | Tensor | None = None) -> None:
    """Two steps of a throw-away training, which load and choose what later ones find ready.

    The first optimiser step of a process imports a compiler, the first of a network chooses
    kernels: more than a second beside trainings of hundredths.
    """
    count = min(_STEPS * task.recipe.batch_size, size_of(task.train))
    chosen = torch.arange(count) if ids is None else torch.as_tensor(ids)[:count]
    train(
        task.initialise(0),
        task.train,
        task.loss,
        task.recipe.lasting(1),
        generator=torch.Generator().manual_seed(0),
        ids=chosen,
    )


def _finite(tensor: object) -> bool:
    return not isinstance(tensor, Tensor) or bool(tensor.isfinite().all())
