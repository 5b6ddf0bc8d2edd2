"""What random genuine requests look like: the thresholds that a request is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.attacks.influence import ExampleFigures
from curenu.errors import BadRequest

__all__ = ["Thresholds", "thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """What each figure of a random genuine request exceeds with the probability 1 − `level`."""

    norm: float
    change: float
    request: float
    session: float
    level: float


def thresholds(
    pool: ExampleFigures, size: int, total: int, *, level: float, draws: int, seed: int
) -> Thresholds:
    """The ⌈(draws + 1) level⌉-th smallest figure of `draws` random requests of `size` examples.

    Requests are drawn without replacement from the examples of `pool`; of `session` the figure is
    that of `total` examples, all that a session erased. A further request, drawn in the same way,
    exceeds such a threshold with a probability of at most 1 − level, for any distribution
    (exchangeability; Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005).

    Time: draws · pool. Raises `BadRequest` where the pool is smaller than `total` or `draws` are
    too few for the level.
    """
    have = len(pool.norms)
    if not size <= total <= have:
        raise BadRequest(
            f"{total} examples cannot be drawn from the {have} that were measured.",
            "a larger `pool_size`, or retraining: so large a part is no request any more.",
        )
    rank = math.ceil((draws + 1) * level - 1e-9)
    if rank > draws:
        raise BadRequest(
            f"{draws} draws have no quantile at {level:g}.",
            f"`draws` of {math.ceil(level / (1.0 - level) - 1e-9)} or more.",
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.empty(draws, 4, dtype=torch.float64)
    for row in drawn:
        everyone = torch.randperm(have, generator=generator)[:total]
        changes = pool.changes[everyone]
        row.copy_(_figures(pool.norms[everyone[:size]], changes[:size], changes))
    found = drawn.kthvalue(rank, dim=0).values.tolist()
    return Thresholds(*found, level=level)


def _figures(norms: Tensor, changes: Tensor, all_changes: Tensor) -> Tensor:
    return torch.stack([norms.max(), changes.max(), changes.sum(), all_changes.sum()])
