"""Which parameters move, and their one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.user_code import calling

__all__ = ["ParameterSpace", "Selection", "patterns_of"]

Selection = str | Sequence[str] | Callable[[str], bool]


class ParameterSpace:
    """Names, shapes and order of the parameters that move, as one vector `[d]`.

    Tied parameters count once, frozen ones (`requires_grad=False`) not at all. The vector is of
    float32 whatever lower precision the parameters are in (`dtypes`), of float64 where any is.
    """

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        if not named:
            raise UnsupportedModel(
                "No parameter may move.", "unfreeze parameters or widen `only=`."
            )
        devices = {tensor.device for tensor in named.values()}
        if len(devices) > 1:
            raise UnsupportedModel(
                f"Parameters on several devices: {', '.join(sorted(map(str, devices)))}.",
                "move the model to one device.",
            )
        odd = [name for name, tensor in named.items() if not tensor.dtype.is_floating_point]
        if odd:
            raise UnsupportedModel(
                f"Parameters that are not real numbers: {', '.join(odd[:3])}.",
                "`only=` naming the others.",
            )
        self.device = next(iter(devices))
        self.dtypes = {name: tensor.dtype for name, tensor in named.items()}
        wide = torch.float64 in self.dtypes.values()
        self.dtype = torch.float64 if wide else torch.float32
        self.shapes: dict[str, torch.Size] = {name: t.shape for name, t in named.items()}
        self._sizes = [tensor.numel() for tensor in named.values()]
        self.dimension = sum(self._sizes)

    @classmethod
    def of(cls, model: nn.Module, only: Selection | None = None) -> ParameterSpace:
        """The parameters of `model` that require a gradient and match `only`.

        `only` is a name, a module prefix or a pattern with `*` (or several), or a predicate
        on names. A tied parameter matches under any of its names.

        Raises `UnsupportedModel` when nothing is left to move or types are mixed,
        `BadRequest` when a part of `only` matches no parameter.
        """
        first_names = {id(p): name for name, p in model.named_parameters()}
        chosen = set(first_names.values())
        if only is not None:
            aliases = dict(model.named_parameters(remove_duplicate=False))
            chosen = {first_names[id(aliases[name])] for name in _match(list(aliases), only)}
        return cls({n: p for n, p in model.named_parameters() if p.requires_grad and n in chosen})

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in the order of the vector."""
        return tuple(self.shapes)

    def flatten(self, named: Mapping[str, Tensor]) -> Tensor:
        """One new vector `[d]` from named tensors; names that do not move are ignored."""
        missing = [name for name in self.shapes if name not in named]
        if missing:
            raise BadRequest(
                f"Parameters missing: {', '.join(missing[:3])}.",
                "pass all parameters of the model this space was made from.",
            )
        for name, shape in self.shapes.items():
            if named[name].shape != shape:
                raise BadRequest(
                    f"Parameter {name} has shape {list(named[name].shape)}, not {list(shape)}.",
                    "use weights of the same architecture.",
                )
        pieces = [named[name].detach().reshape(-1).to(self.dtype) for name in self.shapes]
        return torch.cat(pieces).to(self.device)

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """Named views into the vector `theta` `[d]`; nothing is copied."""
        self.check(theta)
        pieces = theta.split(self._sizes)
        return {
            name: piece.view(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def places(self, pattern: str) -> Tensor:
        """Where in the vector the parameters are whose name matches `pattern`, `[s]`, in order."""
        every = torch.arange(self.dimension, device=self.device).split(self._sizes)
        pairs = zip(self.names, every, strict=True)
        found = [where for name, where in pairs if fnmatchcase(name, pattern)]
        return torch.cat(found) if found else torch.empty(0, dtype=torch.int64, device=self.device)

    def rounded(self, theta: Tensor) -> Tensor:
        """`theta` `[d]` after its parts were in the parameters' own types."""
        named = self.unflatten(theta)
        return self.flatten({name: part.to(self.dtypes[name]) for name, part in named.items()})

    def check(self, vector: Tensor) -> None:
        """Raise `BadRequest` unless `vector` is `[d]` in this space's type and device."""
        if vector.shape != (self.dimension,):
            raise BadRequest(
                f"A vector of shape {list(vector.shape)} where [{self.dimension}] is needed.",
                "make vectors with `parameters.flatten`.",
            )
        if vector.dtype != self.dtype or vector.device != self.device:
            raise BadRequest(
                f"A vector of {vector.dtype} on {vector.device} where {self.dtype} on "
                f"{self.device} is needed.",
                "convert it with `vector.to(theta)`.",
            )

    def check_finite(self, theta: Tensor) -> None:
        """Raise `IllPosed`, naming the parameters, if `theta` `[d]` holds NaN or Inf."""
        bad = [n for n, piece in self.unflatten(theta).items() if not piece.isfinite().all()]
        if bad:
            raise IllPosed(
                f"NaN or Inf in the weights of {', '.join(bad[:3])}.",
                "restore a checkpoint from before the weights broke.",
            )


def patterns_of(only: object) -> tuple[str, ...]:
    """The patterns of an `only` that is no function; `BadRequest` for what names no parameter."""
    listed = isinstance(only, Iterable) and not isinstance(only, str | Tensor | nn.Module)
    patterns: tuple[Any, ...] = tuple(only) if listed else (only,)  # type: ignore[arg-type]
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise BadRequest(
                f"only= has a {type(pattern).__name__}, which names no parameter.",
                "names of parameters or of modules, patterns with `*`, or (not in a run, which "
                "could not keep it on record) a function of a name.",
            )
    return patterns


def _match(names: list[str], only: Selection) -> set[str]:
    if callable(only) and not isinstance(only, nn.Module):
        with calling("`only`"):
            return {name for name in names if only(name)}
    found: set[str] = set()
    for pattern in patterns_of(only):
        hits = {
            n
            for n in names
            if n == pattern or n.startswith(f"{pattern}.") or fnmatchcase(n, pattern)
        }
        if not hits:
            raise BadRequest(
                f"only={pattern!r} matches no parameter.",
                f"one of the names or a prefix, e.g. {', '.join(names[:4])}.",
            )
        found |= hits
    return found
