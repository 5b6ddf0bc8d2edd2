"""What a network says about the examples of a request, as audits look at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.audits import SETS, Outputs, Split
from curenu.risks import EmpiricalRisk
from curenu.tasks import Task

__all__ = ["outputs_on", "split_of"]


def split_of(task: Task, forget: Sequence[int], retain: Sequence[int], model: nn.Module) -> Split:
    """The outputs of `model` on forget, retain and test set, as decisions between classes.

    Raises `BadRequest` for a task that does not decide between classes, `IllPosed` for outputs
    that are not finite.
    """
    sets = ((task.train, forget, "f"), (task.train, retain, "r"), (task.test, None, "t"))
    return Split(
        *(
            Outputs(*task.decided(*outputs_on(task, model, data, chosen)), of=SETS[letter])
            for data, chosen, letter in sets
        )
    )


def outputs_on(
    task: Task, model: nn.Module, dataset: Dataset[Any], positions: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """(outputs, targets) of `model` on those examples of `dataset`, on all for None."""
    risk = EmpiricalRisk(model, dataset, task.loss)
    chosen = risk if positions is None else risk.subset(torch.as_tensor(positions))
    return chosen.outputs(risk.start)
