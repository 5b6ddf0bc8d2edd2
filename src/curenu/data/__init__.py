"""Examples as users have them, fetched by position and read once."""

from curenu.data.batch import Batch
from curenu.data.examples import Collate, Examples
from curenu.data.leaves import floating_tensors, leaves_of, mapped, same, tensors_of
from curenu.data.overlap import check_every_place, joined, positions_within

__all__ = [
    "Batch",
    "Collate",
    "Examples",
    "check_every_place",
    "floating_tensors",
    "joined",
    "leaves_of",
    "mapped",
    "positions_within",
    "same",
    "tensors_of",
]
