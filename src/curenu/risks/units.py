"""The units of a network, and where in theta the weights that make each of them are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from curenu.errors import UnsupportedModel
from curenu.risks.empirical import EmpiricalRisk

__all__ = ["Units"]

_LAYERS: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d)


class Units:
    """A unit is an output of a linear or convolutional layer: a row of weights, and its bias.

    Layers are those whose weights move; `linear` leaves out convolutions. `layers` by name, in
    the order of the model, their units in order one after another. Raises `UnsupportedModel`
    where there is none.
    """

    def __init__(self, risk: EmpiricalRisk, *, linear: bool = False) -> None:
        self._space = risk.parameters
        kinds = _LAYERS[:1] if linear else _LAYERS
        self.layers: dict[str, nn.Module] = {
            name: layer
            for name, layer in risk.source.evaluation.model.named_modules()
            if isinstance(layer, kinds) and _key(name, "weight") in self._space.shapes
        }
        if not self.layers:
            raise UnsupportedModel(
                "Nothing that moves is the weight of a linear"
                f"{'' if linear else ' or convolutional'} layer.",
                "`only=` naming such layers, or another method.",
            )

    def of_layer(self, name: str) -> list[Tensor]:
        """Where in theta the weights and the bias of each unit of a layer are, `[s]` each."""
        keys = [k for k in (_key(name, "weight"), _key(name, "bias")) if k in self._space.shapes]
        rows = [self._space.places(key).view(self._space.shapes[key]) for key in keys]
        return [torch.cat([row[unit].reshape(-1) for row in rows]) for unit in range(len(rows[0]))]

    def places(self, units: list[int]) -> Tensor:
        """Where in theta all of these units are, `[s]`, in order; numbered through the layers."""
        every = [place for name in self.layers for place in self.of_layer(name)]
        return torch.cat([every[unit] for unit in units]).sort().values


def _key(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name
