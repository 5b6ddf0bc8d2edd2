"""How a task's network is trained: the recipe, and the loop that follows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.errors import IllPosed
from curenu.losses import Loss
from curenu.risks import EmpiricalRisk, TrainingTime, training_loss
from curenu.settings import BelowOne, Count, NotNegative, Positive, Settings

__all__ = ["Progress", "Recipe", "Watch", "train"]

Progress = Callable[[int, int], None]
Watch = Callable[[torch.optim.Optimizer, nn.Module], object]


@dataclass(frozen=True)
class Recipe(Settings):
    """Minibatch training with momentum or Adam, constant or cosine learning rate.

    `weight_decay` is lambda of (lambda/2)|theta|², added to the gradient of every parameter
    that moves (also under Adam, where it is not decoupled), so that training and erasure
    share one objective. Raises `BadRequest` for values that cannot be meant.
    """

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: BelowOne = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: NotNegative = 1e-4

    def steps(self, examples: int) -> int:
        """Optimiser steps of one training on so many examples."""
        return self.epochs * math.ceil(examples / self.batch_size)

    def time(self, examples: int) -> TrainingTime:
        """How long one training on so many examples follows its gradient."""
        mean = self.learning_rate * (0.5 if self.schedule == "cosine" else 1.0)
        total, passes = self.steps(examples) * mean, self.epochs * examples
        if self.optimizer == "adam":
            return TrainingTime(total, self.batch_size, passes=passes)
        return TrainingTime(total / (1.0 - self.momentum), passes=passes)

    def lasting(self, epochs: int | None) -> Recipe:
        """The same recipe over so many epochs; itself for None."""
        return self if epochs is None else replace(self, epochs=epochs)


def train(
    model: nn.Module,
    dataset: Dataset[Any],
    loss: Loss,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    ids: Sequence[int] | Tensor | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> nn.Module:
    """Train `model` in place on the examples `ids` (None: all); returned in eval mode.

    Batches are shuffled by `generator`, which also seeds dropout. `progress` is told (steps
    done, steps in all), `watch` the optimiser and the model before the first step.

    Raises `BadRequest` for a loss that is neither a mean nor a sum over examples, `IllPosed`
    when it becomes NaN or Inf.
    """
    risk = EmpiricalRisk(model, dataset, loss, micro_batch_size=recipe.batch_size)
    chosen = risk.ids if ids is None else torch.as_tensor(ids)
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = _optimizer(moving, recipe)
    total = recipe.steps(len(chosen))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            0.5 * (1 + math.cos(math.pi * step / total)) if recipe.schedule == "cosine" else 1.0
        ),
    )
    evaluate = training_loss(risk, model)
    if watch is not None:
        watch(optimizer, model)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for done, batch_ids in enumerate(_shuffled(chosen, recipe, generator), start=1):
            optimizer.zero_grad(set_to_none=True)
            value = evaluate(batch_ids)
            if not math.isfinite(float(value.detach())):
                raise IllPosed(
                    f"The training loss is {float(value.detach())} at step {done}.",
                    "a smaller learning rate, or cleaning the data.",
                )
            value.backward()
            optimizer.step()
            scheduler.step()
            if progress is not None:
                progress(done, total)
    return model.eval()


def _shuffled(ids: Tensor, recipe: Recipe, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(recipe.epochs):
        order = torch.randperm(len(ids), generator=generator)
        yield from ids[order].split(recipe.batch_size)


def _optimizer(moving: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(moving, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        moving,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
