"""A private copy of a user's model: nothing of it is shared that work on it could change."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from curenu.errors import UnsupportedModel
from curenu.parameters import ParameterSpace

__all__ = [
    "LOW",
    "full_copy",
    "own_copy",
    "rescaled",
    "sum_of_the_rest",
    "unwrapped",
    "with_parameters",
    "write_parameters",
]

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
    call, the others nothing writes to: tables of embeddings with `max_norm`, which a pass
    rescales, are copied, and so are buffers. Where a moving parameter is in lower
    precision the copy is in float32 throughout, so that small changes are not lost. Activations
    that a module kept are not copied. Raises `UnsupportedModel` for what cannot be copied.
    """
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach(), requires_grad=False) if type(p) is nn.Parameter else p
        for p in model.parameters()
    }
    for parameter in rescaled(model):
        memo[id(parameter)] = nn.Parameter(parameter.detach().clone(), requires_grad=False)
    for tensor in _with_graph(model):
        memo.setdefault(id(tensor), tensor.detach().clone())
    try:
        other = copy.deepcopy(model, memo)
    except Exception as error:  # whatever the user's classes raise
        raise UnsupportedModel(
            f"The model cannot be copied: {str(error).splitlines()[0] if str(error) else error!r}",
            "taking out of it what is no weight (a lock, an open file, a generator), or a "
            "`__deepcopy__` of its own.",
        ) from error
    _check_apart(model, other)
    other.eval()
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


def rescaled(model: nn.Module) -> Iterator[nn.Parameter]:
    """Tables that a pass writes to, `max_norm` being what their rows are cut to."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
            yield module.weight  # type: ignore[misc]


def _check_apart(model: nn.Module, other: nn.Module) -> None:
    """Raise `UnsupportedModel` where a copy is, or holds, a module of the original."""
    own = {id(module): name for name, module in model.named_modules()}
    for module in other.modules():
        if id(module) in own:
            name = own[id(module)]
            place = f" at {name!r}" if name else ""
            raise UnsupportedModel(
                f"`copy.deepcopy` of the model gives the same {type(module).__name__}{place}, "
                "and no copy.",
                "a class without a `__deepcopy__` that returns itself.",
            )


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


def with_parameters(model: nn.Module, space: ParameterSpace, theta: Tensor) -> nn.Module:
    """A copy of `model` whose moving parameters are those of the vector `theta` `[d]`."""
    plain = unwrapped(model)
    other = full_copy(plain)
    write_parameters(other, space, theta)
    return other


def sum_of_the_rest(model: nn.Module, space: ParameterSpace) -> float:
    """A sum over the weights that do not move, and the buffers: another where one was changed."""
    moving = set(space.names)
    still = [p.detach() for name, p in model.named_parameters() if name not in moving]
    still.extend(model.buffers())
    return sum(float(t.nan_to_num().sum(dtype=torch.float64)) for t in still if not t.is_complex())


def write_parameters(model: nn.Module, space: ParameterSpace, theta: Tensor) -> None:
    """Put the vector `theta` `[d]` into the moving parameters of `model`, in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in space.unflatten(theta).items():
            parameters[name].copy_(value)
