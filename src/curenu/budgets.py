"""How many bytes may be kept so as not to be computed again: every default in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = [
    "BASIS_MEMORY",
    "DATA_MEMORY",
    "DENSE_MEMORY",
    "FROZEN_MEMORY",
    "GRAPH_MEMORY",
    "LEAST_BASIS",
    "OUTPUT_MEMORY",
    "SINGLE_GRADIENT_MEMORY",
    "Memory",
]

BASIS_MEMORY = 2**30
"""Bytes of Krylov vectors kept; beyond, every product is made twice."""

DATA_MEMORY = 2**30
"""Bytes of a data set's items kept after they were read, where it is not tensors in memory."""

LEAST_BASIS = 8
"""Krylov vectors that are kept whatever the budget: a cubic method holds as many anyway, and
without them a solver of few products makes each of them again for every penalty it is asked."""

FROZEN_MEMORY = 2**30
"""Bytes of weights that do not move, copied while it is found out whether a pass writes to them."""

GRAPH_MEMORY = 2**30
"""Bytes of differentiated graphs kept between products."""

OUTPUT_MEMORY = 2**28
"""Bytes of outputs of the fixed model kept between passes."""

SINGLE_GRADIENT_MEMORY = 2**28
"""Bytes of gradients of single examples held at once."""

DENSE_MEMORY = 2**32
"""Bytes of a dense matrix and its decomposition, beyond which `EigenSolver` refuses."""


@dataclass(frozen=True)
class Memory:
    """What of one budget each part may keep; None: the usual of this module.

    The solver's `basis` (`BASIS_MEMORY`; at least `LEAST_BASIS` vectors always), `graphs`
    between products (`GRAPH_MEMORY`), `outputs` at theta0.
    """

    basis: int | None = None
    graphs: int | None = None
    outputs: int = OUTPUT_MEMORY

    @classmethod
    def of(cls, budget: int | None) -> Self:
        """The parts of a budget, in the proportions of the usual ones: 4 to 4 to 1."""
        if budget is None:
            return cls()
        whole = BASIS_MEMORY + GRAPH_MEMORY + OUTPUT_MEMORY
        parts = (part * budget // whole for part in (BASIS_MEMORY, GRAPH_MEMORY, OUTPUT_MEMORY))
        return cls(*parts)
