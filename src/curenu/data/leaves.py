"""What is in a batch, however it is packed: in tuples, mappings, `UserDict`s, dataclasses."""

from __future__ import annotations

import copy
import dataclasses
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

__all__ = [
    "byte_count",
    "floating_tensors",
    "independent",
    "leaves_of",
    "mapped",
    "same",
    "tensors_of",
]

_PLAIN = (int, float, complex, bool, str, bytes, type(None), np.generic)


def leaves_of(batch: Any) -> Iterator[Any]:
    """Everything in `batch` that is no container, in a fixed order."""
    parts = _parts(batch)
    if parts is None:
        yield batch
        return
    for part in parts:
        yield from leaves_of(part)


def tensors_of(batch: Any) -> list[Tensor]:
    """All tensors in a batch."""
    return [leaf for leaf in leaves_of(batch) if isinstance(leaf, Tensor)]


def floating_tensors(batch: Any) -> list[Tensor]:
    """All floating-point tensors in a batch."""
    return [leaf for leaf in tensors_of(batch) if leaf.is_floating_point()]


def mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The same containers with every leaf changed."""
    if isinstance(batch, UserDict):  # transformers' BatchEncoding is one
        other = copy.copy(batch)
        other.data = {key: mapped(value, change) for key, value in batch.data.items()}
        return other
    if isinstance(batch, Mapping):
        changed = {key: mapped(value, change) for key, value in batch.items()}
        return changed if type(batch) is dict else _rebuilt(batch, changed)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(value, change) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(mapped(value, change) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        changed = {f.name: mapped(getattr(batch, f.name), change) for f in _fields(batch)}
        return dataclasses.replace(batch, **changed)
    return change(batch)  # an object with a `to` of its own included


def same(first: Any, second: Any) -> bool:
    """Whether two batches hold the same, to the bit; leaves that cannot be compared count as so."""
    left, right = list(leaves_of(first)), list(leaves_of(second))
    return len(left) == len(right) and all(map(_alike, left, right))


def independent(item: Any) -> Any:
    """A copy that shares no memory with `item`: what a dataset does to its own cannot reach it."""
    return mapped(item, _copied)


def byte_count(item: Any) -> int:
    """Bytes that an item takes, roughly."""
    return 64 + sum(map(_bytes, leaves_of(item)))


def _parts(batch: Any) -> list[Any] | None:
    if isinstance(batch, Mapping):
        return list(batch.values())
    if isinstance(batch, list | tuple):
        return list(batch)
    if isinstance(batch, (Tensor, np.ndarray, *_PLAIN)):
        return None
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return [getattr(batch, field.name) for field in _fields(batch)]
    own = getattr(batch, "__dict__", {}).values()  # a class of the user's: its tensors, one deep
    held = [value for value in own if isinstance(value, (Tensor, np.ndarray))]
    return held or None


def _fields(batch: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(batch) if field.init)


def _rebuilt(batch: Any, changed: dict[Any, Any]) -> Any:
    try:
        return type(batch)(changed)
    except TypeError:
        return changed


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.shape != b.shape:
            return False
        return bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, _PLAIN) or isinstance(b, _PLAIN):
        return bool(a == b or (a != a and b != b))
    return True


def _copied(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.detach().clone()
    if isinstance(leaf, _PLAIN):
        return leaf
    return copy.deepcopy(leaf)


def _bytes(leaf: Any) -> int:
    if isinstance(leaf, Tensor):
        return leaf.numel() * leaf.element_size()
    if isinstance(leaf, np.ndarray):
        return leaf.nbytes
    return len(leaf) if isinstance(leaf, str | bytes) else 32
