"""Gradients and Hessians of small problems by torch's own transforms: nothing of the package's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from tests.problems import Problem

__all__ = ["hessian_of", "loss_of", "single_gradients"]


def loss_of(given: Problem, ids: Tensor, decay: float = 0.0) -> Callable[[Tensor], Tensor]:
    """theta `[d]` -> mean cross-entropy (half squared error for "mse") of `ids`, and decay."""
    x, y = (tensor[ids] for tensor in given.dataset.tensors)  # type: ignore[attr-defined]
    shapes = {name: parameter.shape for name, parameter in given.model.named_parameters()}

    def loss(theta: Tensor) -> Tensor:
        parts = theta.split([shape.numel() for shape in shapes.values()])
        named = {n: p.view(s) for p, (n, s) in zip(parts, shapes.items(), strict=True)}
        outputs = functional_call(given.model, named, (x,))
        if given.loss == "mse":
            mean = (outputs - y).square().mean()
        else:
            mean = functional.cross_entropy(outputs, y)
        return mean + 0.5 * decay * theta.square().sum()

    return loss


def hessian_of(loss: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """∇²loss `[d, d]`, reverse mode twice."""
    return torch.func.jacrev(torch.func.grad(loss))(theta)


def single_gradients(given: Problem, ids: Tensor, theta: Tensor) -> Tensor:
    """∇l_i of each example, `[m, d]`, one at a time."""
    return torch.stack([torch.func.grad(loss_of(given, one))(theta) for one in ids.split(1)])
