"""A second device for machines that have one only: `cpu:1`, whose tensors refuse those of `cpu`.

Torch takes `cpu:1` for `cpu`, so arithmetic there is the processor's, to the bit. Where a tensor is
said to be hangs on its storage, so that views, gradients, tangents and what `torch.func.vmap` wraps
are where their memory is. Two modes watch:

* below automatic differentiation every operation sees plain tensors, those of backward passes too.
  As on a graphics card, tensors of both devices do not meet, but for numbers (`[]`) of the
  processor, positions that index a tensor there, and copies; and a generator of the processor
  draws nothing there;
* in Python `.device`, `.to`, `.cpu` and `device=` say and move what the mode below cannot see,
  and `.numpy()` of a tensor there is refused.

What torch itself makes on the way (zeros for a gradient that is not there) has no device of its own
and takes that of the first tensor it meets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

HERE = torch.device("cpu")
THERE = torch.device("cpu", 1)

Place = Literal["here", "there", "either"]

_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default, _aten.set_.source_Tensor}
_INDEXED = {
    _aten.index.Tensor,
    _aten._unsafe_index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index_put.default,
}


class WrongDevice(Exception):
    """What a machine with a second device would have refused."""


class _Places:
    """Where storages are; one that is not known is here."""

    def __init__(self) -> None:
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def of(self, tensor: Tensor) -> Place:
        storage = _storage(tensor)
        return "either" if storage is None else self._known.get(storage, "here")

    def put(self, tensor: Tensor, place: Place) -> None:
        storage = _storage(tensor)
        if storage is None:
            return
        if place == "here":
            self._known.pop(storage, None)
        else:
            self._known[storage] = place


class _Operations(TorchDispatchMode):
    def __init__(self, places: _Places) -> None:
        super().__init__()
        self._places = places
        self.made: Place = "either"
        """Where a tensor made of nothing is."""
        self.moving: Place | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        made = func(*args, **(kwargs or {}))
        place = self.moving or self._place(func, args, given)
        drawn = any(isinstance(leaf, torch.Generator) for leaf in leaves)
        if drawn and place == "there":
            raise WrongDevice(f"{func}: a generator of the processor's for a tensor there")
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._places.put(tensor, place)
        return made

    def _place(self, func: Any, args: Any, given: list[Tensor]) -> Place:
        """Where the result is; `WrongDevice` if the tensors given do not go together."""
        if not given:
            return self.made
        if func in _COPIES:
            return self._places.of(given[0])
        if func in _INDEXED:
            kept = {id(leaf) for leaf in tree_leaves(args[1])}
            indices = [tensor for tensor in given if id(tensor) in kept]
            owner = self._places.of(given[0])
            if owner == "here" and any(self._places.of(i) == "there" for i in indices):
                raise WrongDevice(f"{func}: a tensor here indexed by positions there")
            given = [given[0], *(tensor for tensor in given[1:] if id(tensor) not in kept)]
        places = [self._places.of(tensor) for tensor in given]
        full = [place for place, tensor in zip(places, given, strict=True) if tensor.ndim]
        if "there" in places:
            if "here" in full:
                shapes = [(list(t.shape), p) for t, p in zip(given, places, strict=True)]
                raise WrongDevice(f"{func}: tensors on both devices: {shapes}")
            return "there"
        return "here" if "here" in places else "either"


class _Calls(TorchFunctionMode):
    def __init__(self, places: _Places, operations: _Operations) -> None:
        super().__init__()
        self._places, self._operations = places, operations

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        first = self._places.of(tensors[0]) if tensors else None
        if getattr(func, "__self__", None) is torch.Tensor.device:
            return THERE if first == "there" else func(*args, **given)
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and first == "there":
            raise WrongDevice("a tensor there as an array of numpy's")
        if func is torch.Tensor.cpu:
            return self._moved(args[0], "here")
        if func is torch.Tensor.to:
            return self._to(args, given)
        if func is torch.Tensor.__deepcopy__:
            made = func(*args, **given)
            self._places.put(made, first or "here")
            return made
        asked = given.get("device")
        if asked is None:
            return self._run(func, args, given, "either" if tensors else "here")
        wanted = _place_of(asked)
        given["device"] = HERE
        if wanted == "there" and given.get("generator") is not None:
            raise WrongDevice(f"{func}: a generator of the processor's for a tensor there")
        made = self._run(func, args, given, wanted)
        return self._moved(made, wanted) if tensors else made

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any], place: Place) -> Any:
        before, self._operations.made = self._operations.made, place
        try:
            return func(*args, **kwargs)
        finally:
            self._operations.made = before

    def _to(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """`Tensor.to`: the type by torch, the device by a copy that is elsewhere."""
        tensor, *rest = args
        place = self._places.of(tensor)
        plain: list[Any] = []
        for wish in rest:
            if isinstance(wish, Tensor):
                place = self._places.of(wish)
                plain.append(wish.dtype)
            elif isinstance(wish, torch.device | str):
                place = _place_of(wish)
            else:
                plain.append(wish)
        if "device" in kwargs:
            place = _place_of(kwargs.pop("device"))
        made = torch.Tensor.to(tensor, *plain, **kwargs) if plain or kwargs else tensor
        return self._moved(made, place)

    def _moved(self, tensor: Tensor, place: Place) -> Tensor:
        if self._places.of(tensor) == place:
            return tensor
        before, self._operations.moving = self._operations.moving, place
        try:
            return tensor.clone()
        finally:
            self._operations.moving = before


class SecondDevice:
    """What is there, and a way to bring models and tensors to it while it is watched."""

    def __init__(self, places: _Places) -> None:
        self._places = places

    def is_there(self, tensor: Tensor) -> bool:
        return self._places.of(tensor) == "there"

    def model(self, model: nn.Module) -> nn.Module:
        """The model itself, its parameters and buffers now there."""
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = self.tensor(tensor.detach().clone())
        return model

    def tensor(self, tensor: Tensor) -> Tensor:
        self._places.put(tensor, "there")
        return tensor


@contextmanager
def second_device() -> Iterator[SecondDevice]:
    """While inside, `cpu:1` is a device of its own."""
    places = _Places()
    operations = _Operations(places)
    with operations, _Calls(places, operations):
        yield SecondDevice(places)


def _place_of(device: Any) -> Place:
    return "there" if torch.device(device).index == 1 else "here"


def _storage(tensor: Tensor) -> Any:
    """The storage under whatever wraps a tensor; None for zeros that take no memory."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return None if tensor._is_zerotensor() else tensor.untyped_storage()
