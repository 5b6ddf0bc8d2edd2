"""One example many times, its input perturbed: its losses and the activations of all units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from curenu.data import Batch
from curenu.errors import UnsupportedModel
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.units import Units

__all__ = ["UnitResponses"]

Matrix = NDArray[np.float64]


class UnitResponses:
    """What noise on the input of one example does to its loss and to every one of `Units`.

    A unit of a convolution is its mean over positions. Raises `UnsupportedModel` without units.
    """

    def __init__(self, risk: EmpiricalRisk) -> None:
        self._risk, self.units = risk, Units(risk)

    def __call__(
        self, theta: Tensor, one: int, count: int, noise: float, generator: torch.Generator
    ) -> tuple[NDArray[np.float64], Matrix]:
        """The losses `[count]` and activations `[count, units]` of example `one` at theta."""
        source, rows = self._risk.source, {}
        batch = self._noisy(one, count, noise, generator)
        hooks = [
            layer.register_forward_hook(_keeper(name, rows))
            for name, layer in self.units.layers.items()
        ]
        try:
            losses = []
            with source.arithmetic(), torch.no_grad():
                for part in torch.arange(count).split(source.micro_batch_size):
                    outputs = source.outputs(source.named(theta), _part(batch, part))
                    losses.append(source.evaluation.each(outputs, _part(batch, part)))
                    source.meter.passed(len(part))
        finally:
            for hook in hooks:
                hook.remove()
        units = torch.cat([torch.cat(rows[name]) for name in self.units.layers], 1)
        return torch.cat(losses).double().cpu().numpy(), units.double().cpu().numpy()

    def _noisy(self, one: int, count: int, noise: float, generator: torch.Generator) -> Batch:
        batch = self._risk.source.batch(torch.tensor([one]))
        content = batch.content
        floating = (
            isinstance(content, list | tuple)
            and len(content) == 2
            and all(isinstance(part, Tensor) for part in content)
            and content[0].is_floating_point()
        )
        if not floating:
            raise UnsupportedModel(
                "Noise cannot be added to inputs that are not one floating tensor.",
                "a method that does not perturb inputs.",
            )
        inputs, target = content
        shape = (count, *inputs.shape[1:])
        drawn = torch.randn(
            shape, generator=generator, device=generator.device, dtype=torch.float32
        )
        moved = inputs + noise * drawn.to(inputs)
        targets = target.expand(count, *target.shape[1:])
        return Batch(batch.ids.expand(count), (moved, targets))


def _part(batch: Batch, rows: Tensor) -> Batch:
    inputs, targets = batch.content
    some = rows.to(inputs.device)
    return Batch(batch.ids[rows], (inputs[some], targets[some]))


def _keeper(name: str, rows: dict[str, list[Tensor]]) -> Callable[..., None]:
    def keep(layer: nn.Module, _: object, made: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            kept = made.flatten(1, -2).mean(1) if made.ndim > 2 else made
        else:
            kept = made.flatten(2).mean(2)
        rows.setdefault(name, []).append(kept.detach())

    return keep
