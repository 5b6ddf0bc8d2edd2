"""Whether what a request brings along is what the data set holds, item by item.

Source: "Unlearn and Burn" (Huang et al., ICLR 2025), which shows what harm is done where nobody
checks that what is to be unlearned was trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.checks import positions_of
from curenu.data import same, tensors_of
from curenu.errors import BadRequest
from curenu.risks import EmpiricalRisk

__all__ = ["Membership", "membership"]

_AT_ONCE = 1024


@dataclass(frozen=True)
class Membership:
    """Where every item of a request stands in the data set, None where it is not in it.

    `unknown` are the places in the request of items that the data set does not hold, or that are
    no longer retained; `changed` those whose content is not that of the example they claim to be.
    """

    positions: tuple[int | None, ...]
    unknown: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()

    @property
    def faults(self) -> tuple[int, ...]:
        """All places in the request that are not what the data set holds, sorted."""
        return tuple(sorted((*self.unknown, *self.changed)))


def membership(
    risk: EmpiricalRisk, content: EmpiricalRisk, claimed: Sequence[int] | None = None
) -> Membership:
    """Compare the items of `content` with the examples that `risk` is over, to the last bit.

    `claimed` `[m]` says which example each item is said to be; without it items are looked up by
    a hash of their content (types may differ, numbers may not), each example serving once. Cost:
    the claimed examples are read; without claims all of the data set is. Raises `BadRequest` for
    claims that are not one an item or that name no example.
    """
    if claimed is not None:
        return _compared(risk, content, claimed)
    wanted = _hashes(content)
    places: dict[bytes, list[int]] = {key: [] for key in wanted}
    for ids in risk.ids.split(_AT_ONCE):
        for position, key in zip(ids.tolist(), _keys(risk, ids), strict=True):
            if key in places:
                places[key].append(position)
    found = tuple(places[key].pop(0) if places[key] else None for key in wanted)
    return Membership(found, unknown=tuple(p for p, at in enumerate(found) if at is None))


def _compared(risk: EmpiricalRisk, content: EmpiricalRisk, claimed: Sequence[int]) -> Membership:
    if len(claimed) != content.size:
        raise BadRequest(
            f"{content.size} items and {len(claimed)} claims.", "one claimed example an item."
        )
    positions_of(claimed, risk.source.examples.size)
    held = set(risk.ids.tolist())
    found: list[int | None] = []
    unknown: list[int] = []
    changed: list[int] = []
    for place, position in enumerate(int(one) for one in claimed):
        here = content.source.examples.batch(content.ids[place : place + 1])
        if position not in held:
            unknown.append(place)
        elif not same(here.content, risk.source.examples.batch(torch.tensor([position])).content):
            changed.append(place)
        found.append(None if {place} & {*unknown, *changed} else position)
    return Membership(tuple(found), tuple(unknown), tuple(changed))


def _hashes(risk: EmpiricalRisk) -> list[bytes]:
    return [key for ids in risk.ids.split(_AT_ONCE) for key in _keys(risk, ids)]


def _keys(risk: EmpiricalRisk, ids: Tensor) -> list[bytes]:
    """A hash of every item's numbers, whatever type they are held in."""
    columns = [_plain(tensor) for tensor in tensors_of(risk.source.examples.batch(ids).content)]
    return [
        hashlib.blake2b(b"".join(row.numpy().tobytes() for row in rows)).digest()
        for rows in zip(*columns, strict=True)
    ]


def _plain(tensor: Tensor) -> Tensor:
    """`[b, ...]` on the CPU in the widest type of its kind, with one zero."""
    wide = torch.float64 if tensor.is_floating_point() else torch.int64
    return tensor.detach().cpu().to(wide).add(0).contiguous()
