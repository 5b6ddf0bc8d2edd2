"""The diagonal of the empirical Fisher information: squared gradients of single examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from curenu.distributed import dealt, reduced
from curenu.errors import UnsupportedModel
from curenu.memory import SINGLE_GRADIENT_MEMORY
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.source import one_arithmetic

__all__ = ["squared_gradients"]


def squared_gradients(risk: EmpiricalRisk, theta: Tensor) -> Tensor:
    """(1/n) Σ_i (∇l_i)² of every parameter, `[d]`, without the weight decay.

    One backward pass an example, vectorised; at most 256 MiB of gradients at once. Squaring a
    batch's mean gradient, as some code does, is another quantity. Raises `UnsupportedModel`
    for items that are mappings, `IllPosed` for NaN or Inf.
    """
    source = risk.source
    total = torch.zeros_like(theta)
    chunk = max(1, SINGLE_GRADIENT_MEMORY // (theta.numel() * theta.element_size()))

    def loss(named: dict[str, Tensor], one: Any) -> Tensor:
        batch = pytree.tree_map(lambda part: part.unsqueeze(0), one)
        outputs = functional_call(source.evaluation, named, (batch,))
        return source.evaluation.total(outputs, batch)

    named = {f"model.{k}": v.detach() for k, v in risk.parameters.unflatten(theta).items()}
    each = vmap(grad(loss), in_dims=(None, 0))
    with one_arithmetic(), sdpa_kernel(SDPBackend.MATH):
        for ids in dealt(risk.ids, min(chunk, source.micro_batch_size)):
            batch = source.examples.batch(ids)
            if not isinstance(batch, list | tuple):
                raise UnsupportedModel(
                    "Gradients of single examples need (input, target) pairs.",
                    "a method without Fisher information.",
                )
            squares = [g.square().sum(0).flatten() for g in each(named, tuple(batch)).values()]
            total += torch.cat(squares)
            source.meter.passed(len(ids))
    source.meter.gradients += 1
    risk._check_sum(reduced(total), theta)
    return total.div_(risk.size)
