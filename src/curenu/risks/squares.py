"""Gradients of single examples: their squares, the diagonal of the empirical Fisher, or all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from curenu.budgets import SINGLE_GRADIENT_MEMORY
from curenu.data import Batch, mapped
from curenu.distributed import dealt, own, reduced
from curenu.errors import UnsupportedModel
from curenu.memory import available_memory
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.source import Named

__all__ = ["gradient_rows", "squared_gradients"]


def squared_gradients(risk: EmpiricalRisk, theta: Tensor) -> Tensor:
    """(1/n) Σ_i (∇l_i)² of every parameter, `[d]`, with (1/n) Σ l_i the mean loss, decay apart.

    One backward pass an example, vectorised; at most 256 MiB of gradients at once. Squaring a
    batch's mean gradient, as some code does, is another quantity. Raises `UnsupportedModel`
    for items that are mappings, `IllPosed` for NaN or Inf.
    """
    total = torch.zeros_like(theta)
    for slopes in _single_gradients(risk, theta):
        total += torch.cat([slope.square_().sum(0) for slope in slopes])
    risk.meter.gradients += 1
    reduced(total)
    if not total.isfinite().all():
        risk.value(theta)  # names the example at fault
    return total.mul_(risk.size / risk.mass**2)


def gradient_rows(
    risk: EmpiricalRisk, theta: Tensor, *, memory_budget: int | None = None
) -> Tensor:
    """∇l_i of every example, `[n, d]` in the order of `ids`, (1/n) Σ l_i the mean, decay apart.

    As `squared_gradients`, all kept at once. Raises `UnsupportedModel`, naming the bytes, where
    they take more than `memory_budget` (None: the memory now available).
    """
    _check_rows(risk, theta, memory_budget)
    rows = theta.new_zeros(risk.size, theta.numel())
    places = torch.arange(risk.size, device=theta.device)[own()]
    done = 0
    for slopes in _single_gradients(risk, theta):
        size = len(slopes[0])
        rows[places[done : done + size]] = torch.cat(slopes, 1)
        done += size
    risk.meter.gradients += 1
    reduced(rows)
    if not rows.isfinite().all():
        risk.value(theta)  # names the example at fault
    return rows.mul_(risk.size / risk.mass)


def _check_rows(risk: EmpiricalRisk, theta: Tensor, memory_budget: int | None) -> None:
    """Raise `UnsupportedModel` if a gradient of every example does not fit."""
    needed = risk.size * theta.numel() * theta.element_size()
    limit = available_memory(theta.device) if memory_budget is None else memory_budget
    if needed > limit:
        raise UnsupportedModel(
            f"{risk.size} gradients of {theta.numel()} parameters take {needed / 2**30:.3g} GiB, "
            f"more than the {limit / 2**30:.3g} GiB allowed.",
            "a smaller `sample_size`, or fewer parameters by `only=`.",
        )


def _single_gradients(risk: EmpiricalRisk, theta: Tensor) -> Iterator[list[Tensor]]:
    """∇l_i of the own examples, weighed, a micro-batch at a time: a `[b, part]` a parameter."""
    source = risk.source
    chunk = max(1, SINGLE_GRADIENT_MEMORY // (theta.numel() * theta.element_size()))

    def loss(named: Named, one: Any) -> Tensor:
        alone = mapped(one, lambda part: part.unsqueeze(0))
        batch = Batch(risk.ids[:1], alone)
        return source.evaluation.total(source.outputs(named, batch), batch)

    named = {name: tensor.detach() for name, tensor in source.named(theta).items()}
    each = vmap(grad(loss), in_dims=(None, 0))
    with source.bending():
        for ids in dealt(risk.ids, min(chunk, source.micro_batch_size)):
            batch = source.batch(ids)
            if not isinstance(batch.content, list | tuple):
                raise UnsupportedModel(
                    "Gradients of single examples need (input, target) pairs.",
                    "a method without Fisher information.",
                )
            weights = torch.ones(batch.size) if batch.weights is None else batch.weights
            slopes = [slope.flatten(1) for slope in each(named, tuple(batch.content)).values()]
            yield [slope * weights.to(slope)[:, None] for slope in slopes]
            source.meter.passed(batch.size)
