"""What a curvature is, and the vector operations every Krylov method needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from curenu.autodiff import check_dense
from curenu.distributed import own_stream, pieces, summed
from curenu.errors import BadRequest, IllPosed, UnsupportedModel

__all__ = [
    "Curvature",
    "Shifted",
    "dense_symmetric",
    "inner",
    "is_semidefinite",
    "length",
    "product",
    "random_direction",
]

_CHUNK = 1 << 20  # entries converted to float64 at once


class Curvature(Protocol):
    """A symmetric operator `[d, d]`: anything whose `@` takes a vector `[d]` to one.

    One that says `positive_semidefinite = True` of itself is not searched for negative
    eigenvalues, which saves products.
    """

    def __matmul__(self, vector: Any, /) -> Any: ...


@dataclass(frozen=True)
class Shifted:
    """`weight`·H + `shift`: a curvature on another scale, with damping in every direction."""

    inner: Curvature
    weight: float
    shift: float

    def __matmul__(self, vector: Tensor, /) -> Tensor:
        return (self.inner @ vector).mul_(self.weight).add_(vector, alpha=self.shift)


def is_semidefinite(curvature: Tensor | Curvature) -> bool:
    """Whether the operator says of itself that none of its eigenvalues is negative."""
    return bool(getattr(curvature, "positive_semidefinite", False))


def product(curvature: Tensor | Curvature, vector: Tensor) -> Tensor:
    """H·vector `[d]` in the type of `vector`; one Hessian-vector product."""
    if isinstance(curvature, Tensor):
        return (curvature @ vector.to(curvature.dtype)).to(vector.dtype)
    return cast(Tensor, curvature @ vector)


def dense_symmetric(curvature: Tensor | Curvature, memory_budget: int | None = None) -> Tensor:
    """H as a float64 matrix `[d, d]`, exactly symmetric.

    Takes a tensor, or an operator with `dense(memory_budget)`. Raises `UnsupportedModel`
    for any other operator or when the decomposition exceeds `memory_budget` bytes (None: the
    memory now available), `BadRequest` for a matrix that is not symmetric, `IllPosed` for
    NaN or Inf.
    """
    if isinstance(curvature, Tensor):
        check_dense(curvature.shape[0], memory_budget, curvature.device)
        matrix = curvature.detach()
    elif callable(make := getattr(curvature, "dense", None)):
        matrix = cast(Tensor, make(memory_budget))
    else:
        raise UnsupportedModel(
            f"{type(curvature).__name__} gives products only; a dense solver needs the matrix.",
            "`LanczosSolver`, which needs products only, or an operator with "
            "`dense(memory_budget)`.",
        )
    if not matrix.isfinite().all():
        raise IllPosed("NaN or Inf in the curvature.", "check data, loss and weights.")
    gap = float((matrix - matrix.mT).abs().max())
    if gap > math.sqrt(torch.finfo(matrix.dtype).eps) * float(matrix.abs().max()):
        raise BadRequest(
            f"The curvature is not symmetric: entries differ by {gap:.3g}.",
            "a Hessian, or its symmetric part `(H + H.mT) / 2`.",
        )
    matrix = matrix.to(torch.float64)
    return (matrix + matrix.mT).mul_(0.5)


def inner(left: Tensor, right: Tensor) -> float:
    """left·right summed in float64, without a float64 copy of a whole vector."""
    pairs = zip(_wide(left), _wide(right), strict=True)
    return summed(sum((float(torch.dot(a, b)) for a, b in pairs), 0.0))


def length(vector: Tensor) -> float:
    """Euclidean length of `vector` `[d]`, summed in float64."""
    here = math.hypot(*(float(torch.linalg.vector_norm(part)) for part in _wide(vector)))
    return math.sqrt(summed(here**2)) if pieces() else here


def random_direction(template: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A new vector shaped as `template` `[d]`, uniform on the unit sphere.

    It is drawn on the generator's device; without one, from a fresh one seeded 0, so that
    the same call gives the same vector.
    """
    given = generator if generator is not None else torch.Generator().manual_seed(0)
    source = own_stream(given)
    drawn = torch.randn(
        template.shape, generator=source, dtype=template.dtype, device=source.device
    ).to(template.device)
    return drawn.div_(length(drawn))


def _wide(vector: Tensor) -> Iterator[Tensor]:
    return (part.to(torch.float64) for part in vector.detach().split(_CHUNK))
