"""The dense Gauss-Newton matrix from every example's own Jacobian: a pass per output.

Σ_i J_iᵀ B_i J_i with J_i `[c, d]` the Jacobian of an example's outputs and B_i `[c, c]` the
loss's Hessian in them. Section 1 of `docs/theory.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import vjp, vmap

from curenu.autodiff.micro_batch import Each, MicroBatch

__all__ = ["add_by_jacobian", "head_curvature"]

_MEMORY = 2**26  # bytes of the Jacobians that are multiplied at once
_OUTPUTS = 32  # beyond, c d² multiplications an example took longer than d products (a small MLP)
_BLOCKS = 8  # of rows: of a symmetric matrix the blocks on one side are enough


def add_by_jacobian(total: Tensor, batch: MicroBatch) -> int | None:
    """Add a micro-batch's matrix to `total` `[d, d]`; how many passes that took, or None.

    Only (total + totalᵀ)/2 has a meaning afterwards. None for the full Hessian, for examples
    that cannot be taken one by one or models that `torch.func.vmap` cannot take, and for so many
    outputs that d products are less work. Cost: those passes, and c b d² multiplications.
    """
    if batch.kind == "hessian" or batch.each is None or len(batch.each[0]) != batch.count:
        return None
    each = batch.each
    try:
        return batch.within(lambda: _add(total, batch, each))
    except (RuntimeError, NotImplementedError):  # products say what cannot be differentiated
        return None


def head_curvature(batch: MicroBatch, outputs: Tensor) -> Tensor | None:
    """B `[b, c, c]` at outputs `[b, ...]` of c numbers an example; None where it is zero."""
    at = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(batch.head(at), at, create_graph=True)
    if not slope.requires_grad:
        return None
    rows = [
        torch.autograd.grad(column.sum(), at, retain_graph=True)[0].flatten(1)
        for column in slope.flatten(1).unbind(1)
    ]
    return torch.stack(rows, 1)


def _add(total: Tensor, batch: MicroBatch, each: Each) -> int | None:
    points = [leaf.detach() for leaf in batch.leaves]
    with torch.no_grad():
        outputs = batch.forward(points)
    width = outputs[0].numel()
    if len(outputs) != batch.count or width > _OUTPUTS or width + 1 >= len(total):
        return None
    heads = head_curvature(batch, outputs)
    if heads is None:
        return width
    inputs, single = each
    basis = torch.eye(width, dtype=outputs.dtype, device=outputs.device)

    def slant(row: Tensor) -> Tensor:
        """J of one example, `[c, d]`."""
        backward = vjp(lambda *leaves: single(list(leaves), row).flatten(), *points)[1]
        return torch.cat([part.flatten(1) for part in vmap(backward)(basis)], 1)

    # J, its parts, B J and what is in between, within what the decomposition takes later on
    budget = min(_MEMORY, 8 * len(total) ** 2)
    step = max(1, budget // (6 * width * len(total) * outputs.element_size()))
    for rows, curves in zip(inputs.split(step), heads.split(step), strict=True):
        slants = vmap(slant)(rows)
        _add_squares(total, slants.flatten(0, 1), (curves @ slants).flatten(0, 1))
    return width


def _add_squares(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add leftᵀ right, symmetric, to `total`: blocks on the diagonal, twice those above it."""
    size = max(64, -(-len(total) // _BLOCKS))
    for start in range(0, len(total), size):
        block = left[:, start : start + size].mT @ right[:, start:]
        block[:, size:] *= 2.0
        total[start : start + size, start:] += block
