"""Trained networks and their outputs, kept under the hash of everything that made them."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from curenu.atomic import replace_file
from curenu.audits import Outputs, Split
from curenu.checks import size_of
from curenu.errors import BadRequest, NotConverged, RunBroken
from curenu.evaluation import split_of
from curenu.runs.identity import data_digest, describe_recipe
from curenu.runs.session import Oracle
from curenu.tasks import Task

__all__ = ["Networks"]


@dataclass(frozen=True)
class Networks:
    """The networks of a task in `folder`, each trained once and kept whole or not at all.

    `source` tells apart tasks that look alike: the hash of a user's file. A network has the
    name of data, labels, architecture, recipe, seed and examples. Raises `RunBroken` when a
    kept file is of another configuration or damaged, or the folder cannot be written.
    """

    folder: Path
    task: Task
    source: str = ""

    def key(self, seed: int, ids: Sequence[int]) -> str:
        """Everything that makes the network of `seed` trained on `ids`, as text."""
        model = self.task.initialise(seed)
        shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        described = {
            "task": self.task.name,
            "source": self.source,
            "data": data_digest(self.task),
            "labels": _labels(self.task),
            "network": _hash(f"{model!r}{shapes!r}"),
            "recipe": describe_recipe(self.task),
            "seed": seed,
            "examples": _hash(repr(list(ids))),
        }
        return json.dumps(described, sort_keys=True)

    def is_kept(self, key: str) -> bool:
        """Whether the network of that key was trained before."""
        return self._place(key).is_file()

    def train(self, seed: int, ids: Sequence[int]) -> None:
        """Train and keep the network, unless it was before."""
        key = self.key(seed, ids)
        if self.is_kept(key):
            return
        start = time.perf_counter()
        model = self.task.train_model(seed, ids=ids)
        seconds = time.perf_counter() - start
        named = {name: t.detach().cpu().contiguous().clone() for name, t in _tensors(model)}
        if not all(bool(tensor.isfinite().all()) for tensor in named.values()):
            raise NotConverged("Training ended in NaN or Inf.", "a smaller learning rate.")
        about = {"configuration": key, "seconds": f"{seconds:.3f}"}
        _keep(self._place(key), safetensors.torch.save(named, metadata=about))

    def load(self, seed: int, ids: Sequence[int]) -> Oracle:
        """The network, and the seconds its training took; `NotConverged` if it has none."""
        key, model = self.key(seed, ids), self.task.initialise(seed)
        path = self._place(key)
        if not path.is_file():
            raise NotConverged(
                f"The network of seed {seed} was not trained.", "mending its training, see above."
            )
        try:
            with safetensors.safe_open(path, "pt") as file:
                about = file.metadata() or {}
                named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            _check(about.get("configuration"), key, path)
            model.load_state_dict(named)
            return Oracle(model.eval(), seed, float(about["seconds"]))
        except (OSError, safetensors.SafetensorError, RuntimeError, KeyError, ValueError) as error:
            raise _damaged(path, error) from error

    def outputs(self, seed: int, ids: Sequence[int], forget: Sequence[int]) -> Split:
        """The network's outputs on `forget`, on all other examples and on the test set."""
        key = _output_key(self.key(seed, ids), forget)
        path = self._output_place(key)
        if path.is_file():
            return _read_split(path, key)
        gone = set(forget)
        everything = range(size_of(self.task.train))
        retain = [position for position in everything if position not in gone]
        split = split_of(self.task, sorted(gone), retain, self.load(seed, ids).model)
        _keep(path, _packed(split, key))
        return split

    def has_outputs(self, key: str, forget: Sequence[int]) -> bool:
        """Whether those of the network of that key are there."""
        return self._output_place(_output_key(key, forget)).is_file()

    def _output_place(self, key: str) -> Path:
        return self.folder / "outputs" / f"{_hash(key)[:24]}.npz"

    def _place(self, key: str) -> Path:
        return self.folder / f"{_hash(key)[:24]}.safetensors"


def _output_key(key: str, forget: Sequence[int]) -> str:
    return json.dumps([key, _hash(repr(sorted(forget)))])


def _tensors(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(model.state_dict().items())


def _labels(task: Task) -> str | None:
    """Hash of all labels: data are told apart by samples, spoilt labels by this."""
    try:
        return _hash(repr(task.classes.tolist()))
    except BadRequest:  # a task without classes
        return None


def _packed(split: Split, key: str) -> bytes:
    arrays = {"configuration": np.array(key)}
    for letter, part in split.parts.items():
        arrays[f"{letter} logits"] = part.logits.float().numpy()
        arrays[f"{letter} targets"] = part.targets.numpy()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_split(path: Path, key: str) -> Split:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as kept:
            _check(str(kept["configuration"]), key, path)
            found = {name: torch.from_numpy(kept[name]) for name in kept if " " in name}
        return Split(*(Outputs(found[f"{p} logits"], found[f"{p} targets"]) for p in "frt"))
    except Exception as error:  # zip, npy and checksum errors have no common kind
        raise _damaged(path, error) from error


def _check(found: str | None, key: str, path: Path) -> None:
    if found != key:
        raise RunBroken(f"{path} is of another configuration.", "deleting that file.")


def _damaged(path: Path, error: Exception) -> RunBroken:
    if isinstance(error, RunBroken):
        return error
    return RunBroken(f"{path} is damaged: {error}.", "deleting that file.")


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise RunBroken(
            f"Cannot keep {path}: {error.strerror}.", "freeing space or another `--cache`."
        ) from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
