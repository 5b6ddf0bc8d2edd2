"""The content of any value as one stream of bytes, hashed: equal content, equal digest."""

from __future__ import annotations

import hashlib
import inspect
import struct
from collections.abc import Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import PurePath
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID

import numpy as np
import torch
from torch import Tensor, nn

from curenu.errors import UnsupportedModel

__all__ = ["attributes_of", "content_digest", "full_name", "own_source"]

_AT_ONCE = 1 << 26  # bytes copied at a time from memory that is not contiguous
_AS_TEXT = (torch.dtype, torch.device, torch.layout, range, slice, type(...),
            date, time, timedelta, Decimal, Fraction, UUID, PurePath)  # fmt: skip
_CODE = (type, FunctionType, BuiltinFunctionType, np.ufunc)
_VERSIONED = ("torch", "numpy", "curenu")  # their source changes with their version alone
_APART = "_user_"  # what tells a user's file from a module of the same name
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def content_digest(values: Iterable[Any]) -> str:
    """SHA-256 of `values` one after the other, each by its content.

    Tensors and arrays count by dtype, shape and every byte, text and numbers by value, other
    objects by their class and what they hold; nothing by a printed form that could be short.
    The order of a sequence counts, that of a mapping or set does not. Every part goes in with
    its kind and length, so that no two values share a stream. Memory is not copied, except in
    pieces where it is not contiguous.

    Raises `UnsupportedModel` for an object whose content cannot be seen.
    """
    content = _Content(set())
    for value in values:
        content.add(value)
    return content.state.hexdigest()


def full_name(thing: Any) -> str:
    """`module.name` of a function or class, without what tells a user's file apart."""
    module = (getattr(thing, "__module__", None) or "").removeprefix(_APART)
    return f"{module}.{getattr(thing, '__qualname__', getattr(thing, '__name__', ''))}"


@lru_cache(maxsize=1024)
def own_source(thing: Any) -> str:
    """The source of somebody's own function or class; "" for a library's, or if there is none."""
    if (getattr(thing, "__module__", None) or "").partition(".")[0] in _VERSIONED:
        return ""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""


def attributes_of(module: nn.Module) -> dict[str, Any]:
    """What a module holds beside parameters, buffers, other modules and its mode."""
    return {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}


class _Content:
    """A hash that values are added to; `above` are the objects that hold the one being added."""

    def __init__(self, above: set[int]) -> None:
        self.state = hashlib.sha256()
        self.above = above

    def word(self, kind: str, content: bytes = b"") -> None:
        """One part: its kind, its length, its bytes."""
        head = kind.encode()
        self.state.update(struct.pack("<IQ", len(head), len(content)) + head + content)

    def add(self, value: Any) -> None:
        """The content of `value`."""
        if isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, Enum):
            self.word("enum", f"{full_name(type(value))}.{value.name}".encode())
        elif value is None or isinstance(value, bool | int | complex):
            self.word(type(value).__name__, repr(value).encode())
        elif isinstance(value, float):
            self.word("float", struct.pack("<d", value))
        elif isinstance(value, str):
            self.word("text", value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes | bytearray | memoryview):
            self.word("bytes", bytes(value))
        elif isinstance(value, _AS_TEXT):
            self.word(type(value).__name__, str(value).encode("utf-8", "surrogatepass"))
        elif id(value) in self.above:
            self.word("one of those above")
        else:
            self.above.add(id(value))
            self._object(value)
            self.above.discard(id(value))

    def _object(self, value: Any) -> None:
        if isinstance(value, list | tuple):
            self.word("list" if isinstance(value, list) else "tuple", struct.pack("<Q", len(value)))
            for item in value:
                self.add(item)
        elif isinstance(value, Mapping):
            self._unordered("mapping", value.items())
        elif isinstance(value, Set):
            self._unordered("set", value)
        elif isinstance(value, _CODE):
            self._code(value)
        elif isinstance(value, ModuleType):
            self.word("library", value.__name__.encode())
        elif isinstance(value, MethodType):
            self.word("method", value.__name__.encode())
            self.add(value.__self__)
        elif isinstance(value, partial):
            self.word("partial")
            self.add([value.func, value.args, value.keywords])
        elif isinstance(value, nn.Module):
            self.word("module", f"{full_name(type(value))}\n{own_source(type(value))}".encode())
            self.add([attributes_of(value), dict(value.state_dict()), dict(value.named_children())])
        else:
            self._held(value)

    def _unordered(self, kind: str, items: Iterable[Any]) -> None:
        digests = []
        for item in items:
            alone = _Content(self.above)
            alone.add(item)
            digests.append(alone.state.digest())
        self.word(kind, b"".join(sorted(digests)))

    def _code(self, value: Any) -> None:
        self.word("code", f"{full_name(value)}\n{own_source(value)}".encode())
        if isinstance(value, FunctionType):
            closed = [_inside(cell) for cell in value.__closure__ or ()]
            self.add([closed, value.__defaults__, value.__kwdefaults__])

    def _held(self, value: Any) -> None:
        """Any other object: its class, and its fields or attributes."""
        kind = type(value)
        if is_dataclass(value):
            held = {field.name: getattr(value, field.name) for field in fields(value)}
        elif hasattr(value, "__array_interface__"):  # an image, say
            held = {"array": np.asarray(value), "mode": getattr(value, "mode", None)}
            held["palette"] = value.getpalette() if hasattr(value, "getpalette") else None
        else:
            slots = {name for base in kind.__mro__ for name in _slots(base)}
            if not slots and not hasattr(value, "__dict__"):
                raise UnsupportedModel(
                    f"The content of a {kind.__name__} cannot be seen: nobody could tell it "
                    "from another.",
                    "tensors, arrays, numbers, text, and objects with attributes.",
                )
            held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
            held |= getattr(value, "__dict__", {})
        self.word("object", f"{full_name(kind)}\n{own_source(kind)}".encode())
        self.add(held)

    def _tensor(self, tensor: Tensor) -> None:
        tensor = tensor.detach()
        if tensor.layout is not torch.strided:
            self.word("sparse", str(tensor.layout).encode())
            whole = tensor.to_sparse_coo().coalesce()
            self.add([list(whole.shape), whole.indices(), whole.values()])
            return
        self.word("tensor", f"{tensor.dtype} {list(tensor.shape)}".encode())
        tensor = tensor.resolve_conj().resolve_neg()
        for part in _parts(tensor, tensor.element_size(), tensor.is_contiguous()):
            flat = part.cpu().contiguous().reshape(-1)
            if flat.numel():
                self.state.update(flat.view(torch.uint8).numpy().data)

    def _array(self, array: np.ndarray) -> None:
        if array.dtype.hasobject:
            self.word("objects", str(array.shape).encode())
            self.add(array.ravel().tolist())
            return
        self.word("array", f"{array.dtype.descr!r} {array.shape}".encode())
        for part in _parts(array, array.itemsize, array.flags.c_contiguous):
            flat = np.ascontiguousarray(part).reshape(-1)
            if flat.nbytes:
                self.state.update(flat.view(np.uint8).data)


def _inside(cell: CellType) -> Any:
    """What a function closes over; None for what is not set yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _parts(whole: Any, width: int, contiguous: bool) -> Iterable[Any]:
    """The whole, or pieces of it along the first dimension, in the order of its elements."""
    if contiguous or len(whole.shape) == 0 or len(whole) == 0:
        return (whole,)
    row = width
    for length in whole.shape[1:]:
        row *= length
    rows = max(1, _AT_ONCE // max(1, row))
    return (whole[first : first + rows] for first in range(0, len(whole), rows))


def _slots(kind: type) -> tuple[str, ...]:
    named = vars(kind).get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(named)
