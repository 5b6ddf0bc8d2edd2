"""Weights that training passed through, and the part of its time that each stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from curenu.errors import BadRequest, MissingData
from curenu.parameters import ParameterSpace
from curenu.settings import Positive, Settings

__all__ = ["Checkpoint", "spans"]


@dataclass(frozen=True)
class Checkpoint(Settings):
    """The weights at training time `time` (Σ rate / (1 − momentum) until then).

    `weights` are tensors by the model's own names, or a safetensors file of them; `digest` is
    the SHA-256 of the file's bytes, checked before it is read where it is given. Buffers are
    not needed: those of the last model are used.
    """

    time: Positive
    weights: Mapping[str, Tensor] | Path = field(repr=False)
    digest: str | None = field(default=None, repr=False)

    def vector(self, space: ParameterSpace) -> Tensor:
        """What moves, as a vector `[d]`.

        Raises `BadRequest` for another network's weights or a file that was changed,
        `MissingData` where there is no file.
        """
        named = self.weights if isinstance(self.weights, Mapping) else self._read(self.weights)
        theta = space.flatten(named)
        space.check_finite(theta)
        return theta

    def _read(self, path: Path) -> Mapping[str, Tensor]:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MissingData(
                f"Cannot read the checkpoint {path}: {error.strerror}.",
                "the folder that the recorder wrote, or training without its checkpoints.",
            ) from error
        if self.digest is not None and hashlib.sha256(content).hexdigest() != self.digest:
            raise BadRequest(
                f"The checkpoint {path} is not the one that was recorded.",
                "the file as it was written, or training without its checkpoints.",
            )
        try:
            return safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise BadRequest(
                f"{path} is no safetensors file: {error}.", "a file that the recorder wrote."
            ) from error


def spans(checkpoints: Sequence[Checkpoint], total: float) -> list[tuple[Checkpoint, float]]:
    """Each checkpoint in order with the time it stands for: up to half way to its neighbours.

    Raises `BadRequest` for two at one time, or one beyond the `total` of training.
    """
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.time)
    times = [checkpoint.time for checkpoint in ordered]
    if any(late <= early for early, late in pairwise(times)):
        raise BadRequest("Two checkpoints are of the same time.", "each weights file once.")
    if times and times[-1] > total * (1 + 1e-6):
        raise BadRequest(
            f"A checkpoint is at time {times[-1]:g} of a training of {total:g}.",
            "checkpoints and time of the same training.",
        )
    middles = [(early + late) / 2 for early, late in pairwise(times)]
    ends = zip([0.0, *middles], [*middles, total], strict=True)
    return [(one, end - start) for one, (start, end) in zip(ordered, ends, strict=True)]
