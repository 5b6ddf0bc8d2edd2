"""A private copy of a user's model: nothing of it is shared that work on it could change."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from curenu.errors import UnsupportedModel

__all__ = ["LOW", "full_copy", "own_copy", "unwrapped"]

_WRAPPED = {
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "OptimizedModule": "_orig_mod",
}
LOW = (torch.float16, torch.bfloat16)
"""Types that a model is worked on in float32 for."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside wrappers of parallel training or compilation.

    Raises `UnsupportedModel` for models whose parameters cannot be replaced in a call: scripted,
    sharded, not yet initialised, or without content.
    """
    if not isinstance(model, nn.Module):
        raise UnsupportedModel(f"The model is a {type(model).__name__}.", "a `torch.nn.Module`.")
    while type(model).__name__ in _WRAPPED and hasattr(model, _WRAPPED[type(model).__name__]):
        model = getattr(model, _WRAPPED[type(model).__name__])
    for name, module in model.named_modules():
        place = f" at {name!r}" if name else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedModel(
                f"A scripted module{place}: torch cannot replace its parameters in a call.",
                "the model before `torch.jit.script` or `torch.jit.trace`.",
            )
        if "FullyShardedDataParallel" in type(module).__name__:
            raise UnsupportedModel(
                f"A sharded module{place}.",
                "the model gathered on one device before it is wrapped.",
            )
    lazy = [n for n, p in model.named_parameters() if isinstance(p, nn.UninitializedParameter)]
    if lazy:
        raise UnsupportedModel(
            f"Parameters without a shape yet: {', '.join(lazy[:3])}.",
            "passing one batch through the model first, as lazy modules need.",
        )
    named = [*model.named_parameters(), *model.named_buffers()]
    meta = [name for name, tensor in named if tensor.is_meta]
    if meta:
        raise UnsupportedModel(
            f"Weights or buffers on the meta device, without content: {', '.join(meta[:3])}.",
            "the trained model: `model.to_empty(device=...)`, then `load_state_dict`.",
        )
    return model


def own_copy(model: nn.Module, moving: Collection[str]) -> nn.Module:
    """A copy in eval mode, no parameter of which asks for a gradient.

    Weights share the given model's memory: those that move (`moving`) are replaced in every
    call, the others nothing writes to. Buffers are copied. Where a moving parameter is in lower
    precision the copy is in float32 throughout, so that small changes are not lost. Activations
    that a module kept are not copied. Raises `UnsupportedModel` for what cannot be copied.
    """
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) if type(p) is nn.Parameter else p
        for p in model.parameters()
    }
    for tensor in _with_graph(model):
        memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        other = copy.deepcopy(model, memo).eval()
    except Exception as error:  # whatever the user's classes raise
        raise UnsupportedModel(
            f"The model cannot be copied: {str(error).splitlines()[0] if str(error) else error!r}",
            "taking out of it what is no weight (a lock, an open file, a generator), or a "
            "`__deepcopy__` of its own.",
        ) from error
    named = dict(other.named_parameters())
    if any(named[name].dtype in LOW for name in moving):
        for tensor in (*named.values(), *other.buffers()):
            if tensor.dtype in LOW and (
                isinstance(tensor, nn.Parameter) is False or type(tensor) is nn.Parameter
            ):
                tensor.data = tensor.data.float()
    return other


def full_copy(model: nn.Module) -> nn.Module:
    """An independent copy: every parameter and buffer its own; activations are left out."""
    memo: dict[int, Any] = {id(t): t.detach().clone() for t in _with_graph(model)}
    return copy.deepcopy(model, memo)


def _with_graph(model: nn.Module) -> Iterator[Tensor]:
    """Tensors that modules hold as plain attributes or buffers and that have a history."""
    seen: set[int] = set()
    waiting: list[Any] = [vars(module) for module in model.modules()]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, nn.Module | type):
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            if found.grad_fn is not None:
                yield found
        elif isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, list | tuple | set):
            waiting.extend(found)
        elif hasattr(found, "__dict__") and not callable(found):
            waiting.append(vars(found))
