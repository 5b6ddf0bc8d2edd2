"""A DataLoader stands for its data set only where it shows all of it, each example once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import curenu
from curenu.data.loader import opened
from curenu.errors import BadRequest
from tests.problems import classes, generator, initialised, inputs

DATA = TensorDataset(inputs(17, 4), classes(17, 3))


class Own(Sampler[int]):
    def __init__(self, places: list[int]) -> None:
        self.places = places

    def __iter__(self) -> Iterator[int]:
        torch.rand(3)
        return iter(self.places)


class Buckets(Sampler[list[int]]):
    def __init__(self, places: list[int]) -> None:
        self.places = places

    def __iter__(self) -> Iterator[list[int]]:
        yield from torch.tensor(self.places).split(5)  # type: ignore[misc]


WHOLE: dict[str, dict[str, Any]] = {
    "shuffled": {"batch_size": 5, "shuffle": True, "drop_last": True},
    "in order": {"batch_size": 5},
    "drawn again": {"batch_size": 5, "sampler": RandomSampler(DATA, replacement=True)},
    "own order": {"batch_size": 5, "sampler": Own(list(range(17))[::-1])},
    "own batches": {"batch_sampler": Buckets(list(range(17))[::-1])},
    "batches": {"batch_sampler": BatchSampler(SequentialSampler(DATA), 4, drop_last=False)},
    "nothing dropped": {"batch_size": 17, "drop_last": True},
}
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "subset": ({"sampler": SubsetRandomSampler(range(9))}, r"9 of the 17.*sampler\.indices"),
    "weighted": ({"sampler": WeightedRandomSampler([1.0] * 17, 17)}, "weights="),
    "own part": ({"sampler": Own(list(range(16)))}, "Own .*each of the 17"),
    "twice": ({"sampler": Own([0, *range(17)])}, "each of the 17"),
    "own batches": ({"batch_sampler": Buckets(list(range(16)))}, "Buckets"),
    "dropped": ({"batch_size": 5, "drop_last": True}, r"last 2 examples.*range\(15\)"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_order_that_shows_everything_is_taken_and_draws_nothing(name: str) -> None:
    before = torch.random.get_rng_state()
    dataset, collate, workers = opened(DataLoader(DATA, **WHOLE[name]), None)
    assert (dataset, collate, workers) == (DATA, None, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", PARTS)
def test_one_that_shows_a_part_is_refused_before_anything_is_computed(name: str) -> None:
    arguments, words = PARTS[name]
    model = initialised(lambda: torch.nn.Linear(4, 3))
    with pytest.raises(BadRequest, match=words):
        curenu.unlearn(model, DataLoader(DATA, **arguments), "cross_entropy", forget=[1], seed=0)


def test_a_shuffled_loader_gives_what_its_data_set_gives() -> None:
    model = initialised(lambda: torch.nn.Linear(4, 3))
    loader = DataLoader(DATA, batch_size=5, shuffle=True, generator=generator())
    found = [
        curenu.unlearn(model, data, "cross_entropy", forget=[1], seed=0).theta
        for data in (loader, DATA)
    ]
    assert torch.equal(*found)
