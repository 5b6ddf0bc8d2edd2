"""Weights of a model that was trained elsewhere, put into the network of a task."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from curenu.errors import BadRequest, MissingData
from curenu.own_model import unwrapped
from curenu.parameters import ParameterSpace

__all__ = ["ADOPT", "ADOPTED", "Weights", "adopted"]

Weights = str | Path | Mapping[str, Tensor] | nn.Module

ADOPT = "adopt"
"""What stands for a method in the first record of a run whose model was trained elsewhere."""

ADOPTED = (
    "Trained elsewhere: that it was trained on these data, by the recipe of the task, is the word "
    "of who brought it; nothing here has seen it."
)
_REMEDY = "the state dict of the network that the task builds."


def adopted(network: nn.Module, weights: Weights) -> nn.Module:
    """`network` with `weights`: a module, its state dict, or a file of one.

    Files are of safetensors, or of `torch.save`, of which tensors alone are read. Raises
    `MissingData` for a file that cannot be read, `BadRequest` for one that is no state dict and
    for names or shapes that are not the network's, `IllPosed` for NaN or Inf.
    """
    if isinstance(weights, nn.Module):
        given: Mapping[str, Tensor] = unwrapped(weights).state_dict()
    elif isinstance(weights, Mapping):
        given = weights
    else:
        given = _read(Path(weights))
    _check(network, given)
    network.load_state_dict(dict(given))
    space = ParameterSpace.of(network)
    space.check_finite(space.flatten(dict(network.named_parameters())))
    return network.eval()


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingData(
            f"Cannot read the weights {path}: {error.strerror}.", "a file of the model's weights."
        ) from error
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError:
        pass  # of torch.save, perhaps
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadRequest(
            f"{path} is neither a safetensors file nor a state dict of `torch.save`.",
            "`torch.save(model.state_dict(), path)`, or `safetensors.torch.save_file`; a whole "
            "pickled model is a program and is not run.",
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):  # as training frameworks nest it
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            return found[key]
    return found


def _check(network: nn.Module, given: object) -> None:
    tensors = isinstance(given, Mapping) and all(isinstance(t, Tensor) for t in given.values())
    if not tensors or not given:
        raise BadRequest("The weights are no tensors by name.", _REMEDY)
    assert isinstance(given, Mapping)
    own = network.state_dict()
    missing, more = [n for n in own if n not in given], [n for n in given if n not in own]
    if missing or more:
        raise BadRequest(
            f"The weights lack {len(missing)} names of the network's"
            f"{f' (first {missing[0]})' if missing else ''} and have {len(more)} others"
            f"{f' (first {more[0]})' if more else ''}.",
            _REMEDY,
        )
    for name, tensor in own.items():
        if given[name].shape != tensor.shape:
            raise BadRequest(
                f"{name} has shape {list(given[name].shape)}, and {list(tensor.shape)} in the "
                "network.",
                _REMEDY,
            )
