"""The diagonal of the empirical Fisher information: squared gradients of single examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from curenu.budgets import SINGLE_GRADIENT_MEMORY
from curenu.data import Batch, mapped
from curenu.distributed import dealt, reduced
from curenu.errors import UnsupportedModel
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.source import Named

__all__ = ["squared_gradients"]


def squared_gradients(risk: EmpiricalRisk, theta: Tensor) -> Tensor:
    """(1/n) Σ_i (∇l_i)² of every parameter, `[d]`, with (1/n) Σ l_i the mean loss, decay apart.

    One backward pass an example, vectorised; at most 256 MiB of gradients at once. Squaring a
    batch's mean gradient, as some code does, is another quantity. Raises `UnsupportedModel`
    for items that are mappings, `IllPosed` for NaN or Inf.
    """
    source = risk.source
    total = torch.zeros_like(theta)
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
            slopes = each(named, tuple(batch.content)).values()
            squares = [torch.tensordot(weights.to(g).square(), g.square(), 1) for g in slopes]
            total += torch.cat([square.flatten() for square in squares])
            source.meter.passed(batch.size)
    source.meter.gradients += 1
    reduced(total)
    if not total.isfinite().all():
        risk.value(theta)  # names the example at fault
    return total.mul_(risk.size / risk.mass**2)
