"""What a training's DataLoader says of its data, where it shows all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from curenu.checks import size_of
from curenu.errors import BadRequest

__all__ = ["opened"]

Collate = Callable[[list[Any]], Any]


def opened(loader: DataLoader[Any], collate: Collate | None) -> tuple[Any, Collate | None, int]:
    """The data set, collate function and worker count of a loader.

    Its order and batch size do not matter. Raises `BadRequest` for one that shows a part of its
    data set, or some examples more often than others: the model was then trained on other data
    than `loader.dataset`.
    """
    if loader.batch_size is None and loader.batch_sampler is None:
        raise BadRequest(
            "The DataLoader makes no batches (`batch_size=None`).",
            "its data set, and `collate=` if its items need one.",
        )
    size = size_of(loader.dataset)
    batches = loader.batch_sampler
    usual = type(batches) is BatchSampler
    _check_order(loader.sampler if usual else batches, size, batched=not usual)
    if usual and loader.drop_last and isinstance(loader.sampler, SequentialSampler):
        left = size % (loader.batch_size or 1)
        if left:
            raise BadRequest(
                f"The DataLoader leaves out the last {left} examples at every pass (`drop_last` "
                "without `shuffle`).",
                f"the examples that training saw: `Subset(dataset, range({size - left}))`.",
            )
    own = None if loader.collate_fn is torch.utils.data.default_collate else loader.collate_fn
    return loader.dataset, collate or own, loader.num_workers


def _check_order(order: Any, size: int, *, batched: bool) -> None:
    """Raise `BadRequest` unless the order is known to show, or is seen to show, every example."""
    if type(order) in (SequentialSampler, RandomSampler, DistributedSampler):
        return
    if isinstance(order, WeightedRandomSampler):
        raise BadRequest(
            "The DataLoader draws some examples more often than others.",
            "its data set, and what each example weighed in training as `weights=`.",
        )
    if isinstance(order, SubsetRandomSampler):
        raise BadRequest(
            f"The DataLoader shows {len(order)} of the {size} examples of its data set.",
            "the examples that training saw: `Subset(dataset, sampler.indices)`.",
        )
    try:
        with torch.random.fork_rng(devices=[]):
            if batched:
                shown = [int(i) for batch in islice(order, size + 1) for i in batch]
            else:
                shown = [int(i) for i in islice(order, size + 1)]
    except TypeError:
        shown = []
    if sorted(shown) != list(range(size)):
        raise BadRequest(
            f"The {type(order).__name__} of the DataLoader does not show each of the {size} "
            "examples of its data set once.",
            "a data set of the examples that training saw, with `weights=` where some count more.",
        )
