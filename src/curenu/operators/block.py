"""A curvature among some of the parameters, the others held still."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from curenu.operators.operator import Curvature, is_semidefinite

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """H_SS for the coordinates S `[s]` of theta: a product is one of H, of a vector zero off S."""

    inner: Curvature
    places: Tensor = field(repr=False)
    dimension: int

    @property
    def positive_semidefinite(self) -> bool:
        """A diagonal block has no negative eigenvalue where the whole has none."""
        return is_semidefinite(self.inner)

    def __matmul__(self, vector: Tensor, /) -> Tensor:
        whole = vector.new_zeros(self.dimension)
        whole[self.places] = vector
        return (self.inner @ whole)[self.places]
