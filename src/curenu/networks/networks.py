"""Networks of a task, each trained once: fingerprint, examples and seed name it."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from curenu.audits import SETS, Outputs, Split
from curenu.checks import size_of
from curenu.errors import NotConverged, RunBroken, UnsupportedModel
from curenu.networks.content import content_digest
from curenu.networks.fingerprint import Fingerprint, fingerprint
from curenu.networks.outputs import split_of
from curenu.networks.shelf import FolderShelf, Shelf
from curenu.networks.training import Progress, TrainedNetwork, timed_training
from curenu.tasks import Task

__all__ = ["Networks"]

_LOG = logging.getLogger("curenu.networks")


@dataclass(frozen=True)
class _Entry:
    """Tensors by name with words about them; what is kept under one name."""

    tensors: Mapping[str, Tensor]
    about: Mapping[str, str]

    def packed(self) -> bytes:
        """The entry as the bytes of a safetensors file that holds its own hash."""
        alone = {n: t.detach().cpu().contiguous().clone() for n, t in self.tensors.items()}
        words = dict(self.about) | {"digest": _digest(alone, self.about)}
        return safetensors.torch.save(alone, metadata=words)

    @classmethod
    def unpacked(cls, content: bytes) -> _Entry:
        """The entry again; `ValueError` if it is not whole."""
        try:
            tensors = safetensors.torch.load(content)
            (length,) = struct.unpack("<Q", content[:8])
            about = dict(json.loads(content[8 : 8 + length])["__metadata__"])
        except (safetensors.SafetensorError, KeyError, ValueError, struct.error) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if about.pop("digest", None) != _digest(tensors, about):
            raise ValueError("its content does not match its hash")
        return cls(tensors, about)


@dataclass(frozen=True)
class Networks:
    """The networks of one task on a shelf, each trained once.

    A network is named by the problem's fingerprint, the examples it was trained on and its
    seed, and so are its outputs. What is damaged on the shelf, or of another name than it
    says, is never used: it is made again, and the log says so.

    Raises `RunBroken` where the shelf cannot be read or written.
    """

    shelf: Shelf
    task: Task
    fingerprint: Fingerprint

    @classmethod
    def in_folder(cls, folder: Path, task: Task, reference: str | None = None) -> Networks:
        """Those in `folder`, of the task that was loaded by the name or file `reference`."""
        return cls(FolderShelf(folder), task, fingerprint(task, reference))

    def key(self, seed: int, ids: Iterable[int]) -> str:
        """Everything that makes the network of `seed` trained on `ids`, as text."""
        described = {
            "task": self.task.name,
            "problem": self.fingerprint.training,
            "seed": seed,
            "examples": _examples(ids),
        }
        return json.dumps(described, sort_keys=True)

    def is_kept(self, key: str) -> bool:
        """Whether the network of that key was trained before."""
        return self.shelf.holds(_file(key))

    def check(self, seed: int, ids: Sequence[int]) -> None:
        """Raise `RunBroken` where the network is kept and its shelf finds that it was changed."""
        key = self.key(seed, ids)
        if self.is_kept(key):
            self.shelf.read(_file(key))

    def has_outputs(self, key: str, forget: Sequence[int]) -> bool:
        """Whether the outputs of the network of that key are kept."""
        return self.shelf.holds(_output_file(self._output_key(key, forget)))

    def train(self, seed: int, ids: Sequence[int], *, progress: Progress | None = None) -> None:
        """Train and keep the network, unless it was before; `IllPosed` if training diverges."""
        if not self.is_kept(self.key(seed, ids)):
            self._make(seed, ids, progress)

    def get(
        self, seed: int, ids: Sequence[int], *, progress: Progress | None = None
    ) -> TrainedNetwork:
        """The network, trained now if it never was."""
        self.train(seed, ids, progress=progress)
        return self.load(seed, ids, progress=progress)

    def load(
        self, seed: int, ids: Sequence[int], *, progress: Progress | None = None
    ) -> TrainedNetwork:
        """The network; `NotConverged` if it was never trained."""
        key = self.key(seed, ids)
        if not self.is_kept(key):
            raise NotConverged(
                f"The network of seed {seed} was not trained.", "mending its training, see above."
            )
        kept = self._read(_file(key), key)
        if kept is None:
            self._make(seed, ids, progress)
            kept = self._read(_file(key), key)
        if kept is None:
            raise RunBroken(
                f"{self.shelf.describe(_file(key))} is damaged as soon as it is written.",
                "another disk.",
            )
        model = self.task.initialise(seed)
        model.load_state_dict(dict(kept.tensors))
        return TrainedNetwork(model.eval(), seed, float(kept.about["seconds"]))

    def outputs(self, seed: int, ids: Sequence[int], forget: Sequence[int]) -> Split:
        """The network's outputs on `forget`, on all other examples and on the test set."""
        key = self._output_key(self.key(seed, ids), forget)
        if self.shelf.holds(_output_file(key)):
            kept = self._read(_output_file(key), key)
            if kept is not None:
                return Split(
                    *(
                        Outputs(kept.tensors[f"{p} logits"], kept.tensors[f"{p} targets"], of=of)
                        for p, of in SETS.items()
                    )
                )
        gone = set(forget)
        retain = [p for p in range(size_of(self.task.train)) if p not in gone]
        split = split_of(self.task, sorted(gone), retain, self.load(seed, ids).model)
        named = {
            f"{letter} {what}": tensor
            for letter, part in split.parts.items()
            for what, tensor in (("logits", part.logits.float()), ("targets", part.targets))
        }
        self.shelf.write(_output_file(key), _Entry(named, {"configuration": key}).packed())
        return split

    def of_others(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Names on the shelf of networks that were not trained on `ids`, and of their outputs.

        What is damaged or cannot be read, or was left by a writer that ended before its time, is
        among them.
        """
        own = _examples(ids)
        return tuple(name for name in self.shelf.names() if self._trained_on(name) != own)

    def _trained_on(self, name: str) -> str | None:
        """The hash of the examples behind what is kept under that name; None if not known."""
        if not self.shelf.holds(name):
            return None
        try:
            key = json.loads(_Entry.unpacked(self.shelf.read(name)).about["configuration"])
            return (json.loads(key[0]) if isinstance(key, list) else key)["examples"]
        except (KeyError, TypeError, ValueError, IndexError, RunBroken):
            return None

    def _make(self, seed: int, ids: Sequence[int], progress: Progress | None) -> None:
        made = timed_training(self.task, seed, ids=ids, progress=progress)
        key, state = self.key(seed, ids), made.model.state_dict()
        other = [name for name, tensor in state.items() if not isinstance(tensor, Tensor)]
        if other:
            raise UnsupportedModel(
                f"The model's state {other[0]!r} is no tensor and cannot be kept.",
                "a model whose state_dict holds tensors only.",
            )
        about = {
            "configuration": key,
            "seconds": repr(made.seconds),
            "fingerprint": json.dumps(vars(self.fingerprint), sort_keys=True),
            "torch": torch.__version__,
        }
        self.shelf.write(_file(key), _Entry(state, about).packed())

    def _read(self, name: str, key: str) -> _Entry | None:
        """What is kept under that name, if it is whole and of that key."""
        content = self.shelf.read(name)
        try:
            entry = _Entry.unpacked(content)
            if entry.about.get("configuration") != key:
                raise ValueError("it is of another configuration")
        except ValueError as error:
            place = self.shelf.describe(name)
            _LOG.warning("%s is damaged (%s) and is made again.", place, error)
            return None
        return entry

    def _output_key(self, key: str, forget: Sequence[int]) -> str:
        return json.dumps([key, self.fingerprint.test, _hash(repr(sorted(map(int, forget))))])


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    return content_digest([dict(tensors), dict(about)])


def _examples(ids: Iterable[int]) -> str:
    return _hash(repr([int(position) for position in ids]))


def _file(key: str) -> str:
    return f"{_hash(key)[:24]}.safetensors"


def _output_file(key: str) -> str:
    return f"outputs/{_hash(key)[:24]}.safetensors"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
