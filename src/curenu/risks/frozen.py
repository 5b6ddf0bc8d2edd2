"""Weights that do not move: the given model's own, which no pass may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from curenu.budgets import FROZEN_MEMORY
from curenu.errors import UnsupportedModel
from curenu.own_model import rescaled
from curenu.risks.source import Source

__all__ = ["frozen_kept"]


@contextmanager
def frozen_kept(source: Source) -> Iterator[None]:
    """Weights that do not move are after the block as they were before.

    They are the given model's own: a large frozen model is not copied. Raises
    `UnsupportedModel` where a pass writes into one, which is put back first; of weights beyond
    `FROZEN_MEMORY` bytes a sum is compared, and what was written stays.
    """
    moving, model = set(source.parameters.names), source.evaluation.model
    private = {id(table) for table in rescaled(model)}
    frozen = {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if name not in moving
        and type(parameter) is nn.Parameter
        and parameter.numel()
        and id(parameter) not in private
    }
    size = sum(tensor.numel() * tensor.element_size() for tensor in frozen.values())
    kept = {n: t.clone() for n, t in frozen.items()} if size <= FROZEN_MEMORY else None
    sums = {} if kept else {name: _sum(tensor) for name, tensor in frozen.items()}
    try:
        yield
    finally:
        written = [
            name
            for name, tensor in frozen.items()
            if (_differ(tensor, kept[name]) if kept else _sum(tensor) != sums[name])
        ]
        if kept:
            with torch.inference_mode():
                for name in written:
                    frozen[name].copy_(kept[name])
    if written:
        raise UnsupportedModel(
            f"The model writes into {written[0]!r}, which does not move, whenever it is called.",
            "a forward pass that changes no weight: statistics of a pass belong into a buffer "
            "(`register_buffer`).",
        )


def _differ(first: Tensor, second: Tensor) -> bool:
    return not torch.equal(first.nan_to_num(), second.nan_to_num())


def _sum(tensor: Tensor) -> float:
    return float(tensor.nan_to_num().sum(dtype=torch.float64))
