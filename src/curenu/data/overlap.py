"""Whether one data set's examples are another's too: by their origin, or by content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from curenu.checks import size_of
from curenu.errors import BadRequest

__all__ = ["positions_within"]

Origin = tuple[int, int]
"""The innermost data set that an example is of, by its address, and its place there."""


def positions_within(part: Any, whole: Any) -> list[int] | None:
    """Where in `whole` the examples of `part` stand; None where they are of other data.

    Subsets and concatenations are followed to what they are made of. Raises `BadRequest` where
    only some of `part` are in `whole`, and where tensors hold the same rows without being the same
    object, so that what is to go would stay as well.
    """
    places: dict[Origin, int] = {}
    for place, origin in enumerate(_origins(whole)):
        places.setdefault(origin, place)
    found = [places.get(origin) for origin in _origins(part)]
    inside = [place for place in found if place is not None]
    if inside and len(inside) < len(found):
        raise BadRequest(
            f"{len(inside)} of the {len(found)} forget examples are in the retain set too.",
            "data sets without a common example, or positions in one data set.",
        )
    if not inside and _all_rows_within(part, whole):
        raise BadRequest(
            f"Every one of the {len(found)} forget examples has its like in the data set beside "
            "it, which is then the retain set: nothing would be forgotten.",
            "a retain set without them, or positions in the whole data set.",
        )
    return inside or None


def _origins(dataset: Any) -> Sequence[Origin]:
    if isinstance(dataset, Subset):
        inner = _origins(dataset.dataset)
        return [inner[int(index)] for index in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        return [origin for each in dataset.datasets for origin in _origins(each)]
    return [(id(dataset), place) for place in range(size_of(dataset))]


def _all_rows_within(part: Any, whole: Any) -> bool:
    """Whether each row of one `TensorDataset` is one of another's, to the byte."""
    if not (isinstance(part, TensorDataset) and isinstance(whole, TensorDataset)):
        return False
    kept = set(_rows(whole))
    return all(row in kept for row in _rows(part))


def _rows(data: TensorDataset) -> list[tuple[bytes, ...]]:
    columns = [
        tensor.detach().cpu().reshape(len(tensor), -1).contiguous() for tensor in data.tensors
    ]
    plain = [column.view(torch.uint8).numpy() for column in columns]
    return [tuple(column[row].tobytes() for column in plain) for row in range(len(data))]
