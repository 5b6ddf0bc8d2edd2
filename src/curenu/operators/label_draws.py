"""Labels drawn from what a model predicts: the same ones however the examples are divided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from curenu.distributed import own
from curenu.errors import UnsupportedModel
from curenu.losses import Form

__all__ = ["drawn_by_all", "drawn_by_curvature", "drawn_on_host"]

_WIDEST = 256  # outputs whose second derivatives are formed an example


def drawn_on_host(operator: Any, seed: int) -> Callable[[Tensor], Tensor]:
    """The operator's labels from a generator of the processor's: the same on every device."""
    draw, generator = operator.draw_label, torch.Generator().manual_seed(seed)
    squared = isinstance(operator._loss_func, nn.MSELoss)

    def draw_label(outputs: Tensor) -> Tensor:
        operator._generator = generator
        here = outputs.detach().cpu()
        drawn = _beside(here, generator) if squared else draw(here)
        return drawn.to(outputs.device)

    return draw_label


def _beside(outputs: Tensor, generator: torch.Generator) -> Tensor:
    """Outputs plus noise of variance 1/2, whose density is exp(−|y − f|²) but for a constant.

    `torch.randn` gives other numbers for the same rows in parts; uniform ones are drawn one by one.
    """
    return outputs + (0.5**0.5 * _normal(outputs, generator)).to(outputs)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(like.shape, generator=generator, dtype=torch.float64)
    return torch.special.ndtri(uniform.clamp_min(torch.finfo(torch.float64).tiny))


def drawn_by_curvature(form: Form, targets: Iterable[Any], seed: int) -> Callable[[Tensor], Tensor]:
    """Targets for squared errors whose slopes v have E vvᵀ = ∂²l/∂f², example by example.

    What K-FAC needs of any loss that is a sum over examples of a function of the outputs `[b, k]`;
    negative curvature is left out. `targets` are those of one micro-batch after another. The
    squared error's own mean over k outputs makes its slope 2(f − y)/√k.
    """
    following, generator = iter(targets), torch.Generator().manual_seed(seed)

    def draw_label(outputs: Tensor) -> Tensor:
        root = _root(form, outputs.detach(), next(following))
        noise = _normal(outputs, generator).to(root)
        slope = (root @ noise.unsqueeze(2)).squeeze(2)
        return outputs.detach() - (0.5 * outputs.shape[1] ** 0.5 * slope).to(outputs)

    return draw_label


def _root(form: Form, outputs: Tensor, targets: Any) -> Tensor:
    """R `[b, k, k]` with RRᵀ the positive part of ∂²l/∂f² of each example."""
    if outputs.ndim != 2 or outputs.shape[1] > _WIDEST:
        raise UnsupportedModel(
            f"K-FAC needs outputs [b, k] with k up to {_WIDEST}, not {list(outputs.shape)}.",
            'preconditioner="none".',
        )
    at = outputs.double().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(form.sum(at, targets), at, create_graph=True)
        if not slope.requires_grad:
            raise UnsupportedModel(
                "K-FAC found no curvature of the loss in the outputs.", 'preconditioner="none".'
            )
        rows = [
            torch.autograd.grad(slope[:, k].sum(), at, retain_graph=True)[0]
            for k in range(outputs.shape[1])
        ]
    values, vectors = torch.linalg.eigh(torch.stack(rows, 1).detach())
    return vectors * values.clamp_min(0.0).sqrt().unsqueeze(1)


def drawn_by_all(
    draw: Callable[[Tensor], Tensor], shares: list[tuple[Tensor, int]]
) -> Callable[[Tensor], Tensor]:
    """`draw`, which gives this process's examples the labels that one process would.

    Labels of whole micro-batches are drawn from one stream everywhere, and the own ones kept.
    """
    following = iter(shares)

    def draw_label(outputs: Tensor) -> Tensor:
        ids, size = next(following)
        rows = outputs.detach().unflatten(0, (len(ids), -1))
        together = rows.new_zeros(size, *rows.shape[1:])
        together[own()] = rows
        labels = draw(together.flatten(0, 1))
        return labels.unflatten(0, (size, -1))[own()].flatten(0, 1)

    return draw_label
