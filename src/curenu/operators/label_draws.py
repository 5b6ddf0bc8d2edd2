"""Labels drawn from what a model predicts: the same ones however the examples are divided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from curenu.distributed import own

__all__ = ["drawn_by_all", "drawn_on_host"]


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
    uniform = torch.rand(outputs.shape, generator=generator, dtype=torch.float64)
    tiny = torch.finfo(torch.float64).tiny
    return outputs + (0.5**0.5 * torch.special.ndtri(uniform.clamp_min(tiny))).to(outputs)


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
