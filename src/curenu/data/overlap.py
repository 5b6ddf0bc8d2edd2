"""Whether one data set's examples are another's too: by their origin, or by content."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from curenu.checks import positions_of, size_of
from curenu.data.loader import Collate, opened
from curenu.errors import BadRequest

__all__ = ["check_every_place", "joined", "positions_within"]

Origin = tuple[int, int]
"""The innermost data set that an example is of, by its address, and its place there."""


def positions_within(part: Any, whole: Any) -> list[int] | None:
    """Where in `whole` the examples of `part` stand; None where they are of other data.

    Subsets and concatenations are followed to what they are made of. Raises `BadRequest` where
    only some of `part` are in `whole`, and where tensors hold the same rows without being the same
    object, so that what is to go would stay as well.
    """
    places = _places(whole)
    found = [places.get(origin, []) for origin in _origins(part)]
    shared = sum(map(bool, found))
    if 0 < shared < len(found):
        raise BadRequest(
            f"{shared} of the {len(found)} forget examples are in the retain set too.",
            "data sets without a common example, or positions in one data set.",
        )
    inside = list(dict.fromkeys(place for each in found for place in each))
    if not inside and _all_rows_within(part, whole):
        raise BadRequest(
            f"Every one of the {len(found)} forget examples has its like in the data set beside "
            "it, which is then the retain set: nothing would be forgotten.",
            "a retain set without them, or positions in the whole data set.",
        )
    return inside or None


def joined(
    retain: Any, forget: Any, collate: Collate | None, ids: Sequence[Hashable] | None
) -> tuple[Any, list[int], Collate | None, tuple[str, ...]]:
    """One data set, the positions of what goes, how items collate, and what to say of it.

    Two data sets become one; of a forget set that is a part of the other, its positions there:
    `ids` are names, which positions are not looked up in.
    """
    if not isinstance(forget, Dataset | DataLoader):
        positions = positions_of(forget, size_of(retain), ids=ids)
        check_every_place(retain, positions, ids)
        return retain, positions, collate, ()
    parts = []
    for part in (retain, forget):
        if isinstance(part, DataLoader):
            part, collate, _ = opened(part, collate)
        parts.append(part)
    kept, gone = map(size_of, parts)
    within = positions_within(parts[1], parts[0])
    if within is not None:
        note = f"the forget set is {gone} examples of the {kept} given: the others are retained"
        return retain, positions_of(within, kept), collate, (note,)
    whole = ConcatDataset(parts)
    return whole, positions_of(range(kept, kept + gone), len(whole)), collate, ()


def check_every_place(
    dataset: Any, positions: Sequence[int], ids: Sequence[Hashable] | None = None
) -> None:
    """Raise `BadRequest` where an example at `positions` has another place, which would stay.

    Subsets may name an example twice, and concatenations hold a data set twice. `ids` are what
    the caller calls the examples.
    """
    if not isinstance(dataset, Subset | ConcatDataset):
        return
    gone, origins, places = set(positions), _origins(dataset), _places(dataset)
    for place in positions:
        others = [other for other in places[origins[place]] if other not in gone]
        if others:
            every = sorted({p for one in positions for p in places[origins[one]]})
            names = every[:10] if ids is None else [ids[p] for p in every[:10]]
            raise BadRequest(
                f"The example at {place} is at {others[0]} too, where it would stay.",
                f"all that it is called in the data set, {len(every)} in all: "
                f"{', '.join(map(str, names))}{' …' if len(every) > 10 else ''}.",
            )


def _places(dataset: Any) -> dict[Origin, list[int]]:
    """Where each example stands."""
    places: dict[Origin, list[int]] = {}
    for place, origin in enumerate(_origins(dataset)):
        places.setdefault(origin, []).append(place)
    return places


def _origins(dataset: Any) -> Sequence[Origin]:
    if isinstance(dataset, Subset):
        inner = _origins(dataset.dataset)
        return [inner[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        return [origin for each in dataset.datasets for origin in _origins(each)]
    return [(id(dataset), place) for place in range(size_of(dataset))]


def _all_rows_within(part: Any, whole: Any) -> bool:
    """Whether each row of tensors in memory is one of other tensors', to the byte."""
    given, held = _tensors(part), _tensors(whole)
    if given is None or held is None or len(given) != len(held):
        return False
    kept = set(_rows(held))
    return all(row in kept for row in _rows(given))


def _tensors(dataset: Any) -> list[Tensor] | None:
    """The tensors that a data set is made of, through subsets and concatenations; else None."""
    if type(dataset) is TensorDataset:
        return list(dataset.tensors)
    if isinstance(dataset, Subset):
        inner = _tensors(dataset.dataset)
        places = torch.as_tensor([int(index) for index in dataset.indices])
        return None if inner is None else [tensor[places] for tensor in inner]
    if isinstance(dataset, ConcatDataset):
        parts = [_tensors(part) for part in dataset.datasets]
        columns = [part for part in parts if part is not None]
        if len(columns) == len(parts) and len({len(part) for part in columns}) == 1:
            return [torch.cat(column) for column in zip(*columns, strict=True)]
    return None


def _rows(tensors: list[Tensor]) -> list[tuple[bytes, ...]]:
    columns = [tensor.detach().cpu().reshape(len(tensor), -1).contiguous() for tensor in tensors]
    plain = [column.view(torch.uint8).numpy() for column in columns]
    return [tuple(column[row].tobytes() for column in plain) for row in range(len(tensors[0]))]
