"""The mean loss of a batch as training minimises it: one scale for training and erasure."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn

from curenu.risks.empirical import EmpiricalRisk

__all__ = ["training_loss"]


def training_loss(risk: EmpiricalRisk, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """ids `[b]` -> Σ_i l_i / Σ_i c_i over those examples, with the graph to `model`'s parameters.

    `risk` is over the data set of the training, with the same loss and a model of the same kind;
    how models are called and what the loss divides by was settled there.
    """
    evaluation = copy.copy(risk.source.evaluation)
    evaluation._modules = {"model": model}  # the settled loss beside the model that is trained

    def mean(ids: Tensor) -> Tensor:
        batch = risk.source.batch(ids)
        return evaluation.total(evaluation(batch), batch) / risk.source.mass(ids)

    return mean
