"""Weights kept while a network trains, evenly over a time that is not known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from curenu.atomic import replace_file
from curenu.checkpoints.checkpoint import Checkpoint
from curenu.errors import BadRequest, RunBroken

__all__ = ["Checkpoints"]

_VERSION = 1


@dataclass(frozen=True, eq=False)
class _Kept:
    """One moment: its time, and its weights in memory or in the file of that hash."""

    time: float
    weights: Mapping[str, Tensor] | Path
    digest: str | None
    bytes: int

    def discard(self) -> None:
        if isinstance(self.weights, Path):
            self.weights.unlink(missing_ok=True)


class Checkpoints:
    """Up to twice `count` moments of training, equally far apart in its time, to choose from.

    Weights are kept at multiples of an interval; when there are more than twice `count`, the
    interval is doubled and every other one is dropped. Only parameters that move are kept.
    """

    def __init__(self, model: nn.Module, count: int, folder: Path | None) -> None:
        if count < 1:
            raise BadRequest(f"checkpoints={count}.", "1 or more, 3 say.")
        self._model, self._count, self._folder = model, count, folder
        self._interval = 0.0  # not known before the first step
        self._kept: list[_Kept] = []
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _unwritten(folder, error) from error

    @property
    def bytes(self) -> int:
        """What they take now."""
        return sum(kept.bytes for kept in self._kept)

    def passed(self, time: float, step: int) -> None:
        """Training is at `time` after `step` steps: keep its weights where one is due."""
        self._interval = self._interval or time
        last = self._kept[-1].time if self._kept else 0.0
        if time < (1 - 1e-9) * (last + self._interval):
            return
        self._kept.append(self._made(time, step))
        while len(self._kept) > 2 * self._count:
            self._interval *= 2
            for dropped in self._kept[::2]:
                dropped.discard()
            self._kept = self._kept[1::2]

    def chosen(self, total: float) -> tuple[Checkpoint, ...]:
        """Of a training of time `total`, those nearest to the middles of `count` equal parts."""
        left, chosen = list(self._kept), []
        for part in range(min(self._count, len(left))):
            middle = (part + 0.5) / self._count * total
            nearest = min(left, key=lambda kept: abs(kept.time - middle))
            left.remove(nearest)
            chosen.append(Checkpoint(nearest.time, nearest.weights, nearest.digest))
        return tuple(sorted(chosen, key=lambda checkpoint: checkpoint.time))

    def state(self) -> dict[str, Any]:
        """What `load` takes: times, and weights or the names of their files."""
        return {
            "version": _VERSION,
            "interval": self._interval,
            "kept": [
                {
                    "time": kept.time,
                    "weights": kept.weights.name
                    if isinstance(kept.weights, Path)
                    else dict(kept.weights),
                    "digest": kept.digest,
                    "bytes": kept.bytes,
                }
                for kept in self._kept
            ],
        }

    def load(self, state: Any) -> None:
        """Go on from a `state`; `BadRequest` where it is none of this kind of keeping."""
        try:
            if state["version"] != _VERSION:
                raise BadRequest(
                    f"Checkpoints of version {state['version']}.", "the curenu that kept them."
                )
            kept = [
                _Kept(each["time"], self._placed(each["weights"]), each["digest"], each["bytes"])
                for each in state["kept"]
            ]
            self._interval, self._kept = float(state["interval"]), kept
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(
                "The state has no checkpoints of this kind.",
                "the state of a recorder that was given a model and a folder as this one was.",
            ) from error

    def _placed(self, weights: Any) -> Mapping[str, Tensor] | Path:
        if isinstance(weights, str) != (self._folder is not None):
            raise ValueError("in memory, and in a folder")
        return weights if self._folder is None else self._folder / weights

    def _made(self, time: float, step: int) -> _Kept:
        weights = {
            name: parameter.detach().cpu().clone()
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }
        size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
        if self._folder is None:
            return _Kept(time, weights, None, size)
        content = safetensors.torch.save(weights, metadata={"time": repr(time)})
        path = self._folder / f"step-{step:09d}.safetensors"
        try:
            replace_file(path, content, private=True)
        except OSError as error:
            raise _unwritten(path, error) from error
        return _Kept(time, path, hashlib.sha256(content).hexdigest(), len(content))


def _unwritten(path: Path, error: OSError) -> RunBroken:
    return RunBroken(
        f"Cannot keep a checkpoint at {path}: {error.strerror}.",
        "freeing space, or another folder.",
    )
