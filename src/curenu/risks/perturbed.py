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

__all__ = ["Perturbed"]

Matrix = NDArray[np.float64]


class Perturbed:
    """What noise on the input of one example does to its loss and to every unit.

    A unit is an output of a linear or convolutional layer, a channel's mean over its positions,
    whose weights move. Raises `UnsupportedModel` where there is none.
    """

    def __init__(self, risk: EmpiricalRisk) -> None:
        self._risk = risk
        moving = set(risk.parameters.names)
        self._layers = {
            name: layer
            for name, layer in risk.source.evaluation.model.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
            and f"{name}.weight".removeprefix(".") in moving
        }
        if not self._layers:
            raise UnsupportedModel(
                "Nothing that moves is the weight of a linear or convolutional layer.",
                "`only=` naming such layers, or another method.",
            )

    def __call__(
        self, theta: Tensor, one: int, count: int, noise: float, generator: torch.Generator
    ) -> tuple[NDArray[np.float64], Matrix]:
        """The losses `[count]` and activations `[count, units]` of example `one` at theta."""
        source, rows = self._risk.source, {}
        batch = self._noisy(one, count, noise, generator)
        hooks = [
            layer.register_forward_hook(_keeper(name, rows)) for name, layer in self._layers.items()
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
        units = torch.cat([torch.cat(rows[name]) for name in self._layers], 1)
        return torch.cat(losses).double().cpu().numpy(), units.double().cpu().numpy()

    def places(self, units: list[int]) -> Tensor:
        """Where in theta the weights and biases of these units are, `[s]`, in order."""
        space = self._risk.parameters
        owned = []
        for name, layer in self._layers.items():
            keys = [key for key in self._keys(name) if key in space.shapes]
            rows = [space.places(key).view(space.shapes[key]) for key in keys]
            count = int(layer.weight.shape[0])  # type: ignore[arg-type, index]
            owned += [[row[unit].reshape(-1) for row in rows] for unit in range(count)]
        return torch.cat([part for unit in units for part in owned[unit]]).sort().values

    def _keys(self, name: str) -> tuple[str, str]:
        prefix = f"{name}." if name else ""
        return f"{prefix}weight", f"{prefix}bias"

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
        drawn = torch.randn(shape, generator=generator, device=generator.device)
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
