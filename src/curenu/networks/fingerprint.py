"""Which problem a network was trained on: data, labels, recipe, network, loss and source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from curenu.checks import size_of
from curenu.errors import RunBroken
from curenu.networks.content import attributes_of, content_digest, full_name
from curenu.networks.source import FILE, PACKAGE, source_of
from curenu.tasks import Task

__all__ = ["Fingerprint", "fingerprint", "refuse_other"]

_LABELS = ("label", "labels", "target", "targets")  # names of labels in examples by name
_WORDS = {
    "data": "the training data",
    "labels": "the labels",
    "names": "the examples' ids or groups",
    "test": "the test data",
    "recipe": "the recipe",
    "network": "the network",
    "loss": "the loss",
    "source": "the task's source",
}


@dataclass(frozen=True)
class Fingerprint:
    """A problem by its content, part by part; equal problems have equal parts.

    `data`, `labels`, `names` (ids and groups), `test` and `network` are SHA-256 of every byte;
    `recipe` is JSON with all of its fields, `loss` a name with the hash of its arguments,
    `source` says which file or version the task came from, with a hash.
    """

    data: str
    labels: str
    names: str
    test: str
    recipe: str
    network: str
    loss: str
    source: str

    @property
    def digest(self) -> str:
        """One hash of all parts."""
        return _hash(json.dumps(asdict(self), sort_keys=True))

    @property
    def training(self) -> str:
        """One hash of what decides the weights: all but the test data and the names."""
        parts = asdict(self)
        return _hash(json.dumps({k: parts[k] for k in sorted(parts) if k not in ("test", "names")}))

    def changed(self, other: Fingerprint) -> tuple[str, ...]:
        """Names of the parts that `other` has otherwise."""
        return tuple(
            field.name
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )

    def difference(self, other: Fingerprint) -> str:
        """In words what is otherwise in `other`; "" if nothing is."""
        return "; ".join(self._words(part, other) for part in self.changed(other))

    def _words(self, part: str, other: Fingerprint) -> str:
        mine, theirs = getattr(self, part), getattr(other, part)
        if part == "recipe":
            was, now = json.loads(mine), json.loads(theirs)
            names = sorted(k for k in was.keys() | now.keys() if was.get(k) != now.get(k))
            parts = (f"{name} was {was.get(name)}, is {now.get(name)}" for name in names)
            return f"{_WORDS[part]} ({', '.join(parts)})"
        if part in ("loss", "source"):
            short = [text if len(text) <= 60 else text[:48] + "..." for text in (mine, theirs)]
            return f"{_WORDS[part]} (was {short[0]}, is {short[1]})"
        return _WORDS[part]


def fingerprint(task: Task, reference: str | None = None) -> Fingerprint:
    """The fingerprint of `task`, made by the task or `file.py:function` named `reference`.

    Every example is read once. A `TensorDataset` is hashed as its tensors, at the speed of
    SHA-256 in memory; other datasets example by example. The last of an example's parts is
    its label, or those named so.

    Raises `UnsupportedModel` for examples or a loss whose content cannot be seen.
    """
    data, labels = _digests(task.train)
    given = None if task.labels is None else task.labels
    test = content_digest(_digests(task.test))
    return Fingerprint(
        data=data,
        labels=content_digest([labels, given]),
        names=content_digest([_listed(task.ids), _listed(task.groups)]),
        test=test,
        recipe=json.dumps(_described(task.recipe), sort_keys=True),
        network=_network(task),
        loss=_loss(task.loss),
        source=source_of(task, reference),
    )


def refuse_other(recorded: Fingerprint, found: Fingerprint, title: str) -> None:
    """Raise `RunBroken` naming what changed if `found` is another problem than `recorded`.

    The source of a built-in task may have another version, and a user's file is held to its
    hash where it is run (`task_source`), or trusted as it is now: what they give was compared.
    """
    parts = [
        part
        for part in recorded.changed(found)
        if part != "source" or not _vouched_elsewhere(recorded, found)
    ]
    if not parts:
        return
    words = "; ".join(recorded._words(part, found) for part in parts)
    raise RunBroken(
        f"{title!r} is not the problem this run was made with. Changed: {words}.",
        "the task, files and data the run was made with, or a new run: ids and records mean "
        "nothing on any other.",
    )


def _vouched_elsewhere(one: Fingerprint, other: Fingerprint) -> bool:
    built_in = one.source.startswith(PACKAGE) and other.source.startswith(PACKAGE)
    return built_in or one.source.startswith(FILE)


def _digests(dataset: Dataset[Any]) -> tuple[str, str]:
    """Digests of the examples without their labels, and of the labels."""
    size = size_of(dataset)
    if type(dataset) is TensorDataset:
        tensors = dataset.tensors
        if len(tensors) == 1:
            return content_digest(tensors), content_digest([])
        return content_digest(tensors[:-1]), content_digest(tensors[-1:])
    labels: list[Any] = []

    def without_labels() -> Iterator[Any]:
        yield size
        for position in range(size):
            example, own = _apart(dataset[position])
            labels.append(own)
            yield example

    return content_digest(without_labels()), content_digest(labels)


def _apart(example: Any) -> tuple[Any, Any]:
    """(an example without its label, the label); the whole and None where there is none."""
    if isinstance(example, tuple | list) and len(example) > 1:
        return example[:-1], example[-1]
    if isinstance(example, Mapping):
        own = {name: example[name] for name in _LABELS if name in example}
        return {k: v for k, v in example.items() if k not in own}, own or None
    return example, None


def _network(task: Task) -> str:
    """Structure, and the values that two initialisations have in common.

    Those are buffers, constants, and weights that come from a file; what is drawn differs.
    """
    one, two = task.initialise(0), task.initialise(1)
    other = two.state_dict(keep_vars=True)
    moving = {name: p.requires_grad for name, p in one.named_parameters(remove_duplicate=False)}

    def parts() -> Iterator[Any]:
        for name, module in one.named_modules():
            yield [name, full_name(type(module)), _settings(module)]
        for name, tensor in one.state_dict(keep_vars=True).items():
            if not isinstance(tensor, torch.Tensor):
                yield [name, tensor]
                continue
            same = torch.equal(tensor, other[name])
            shape = [str(tensor.dtype), list(tensor.shape), moving.get(name)]
            yield [name, *shape, tensor if same else None]

    return content_digest(parts())


def _settings(module: nn.Module) -> dict[str, Any]:
    """A module's own numbers, words and functions by name; other objects by their class."""
    return {name: _setting(value) for name, value in attributes_of(module).items()}


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return value
    if isinstance(value, list | tuple):
        return [_setting(item) for item in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return full_name(value)
    return full_name(type(value))


def _loss(loss: Any) -> str:
    if isinstance(loss, str):
        return loss
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{full_name(named)} {content_digest([loss])}"


def _described(value: Any) -> Any:
    """All fields of a recipe, as JSON can hold them."""
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: _described(getattr(value, field.name)) for field in fields(value)}
        return {"type": full_name(type(value))} | held
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _described(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else _loss(value)


def _listed(items: Iterable[Any] | None) -> Any:
    return None if items is None else list(items)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
