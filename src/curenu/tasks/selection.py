"""Which examples a request names: at random, or by class."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from curenu.checks import size_of
from curenu.errors import BadRequest
from curenu.tasks.task import Task

__all__ = ["class_ids", "group_ids", "random_ids"]


def random_ids(
    task: Task, share: float, generator: torch.Generator, *, among: Sequence[int] | None = None
) -> list[int]:
    """Sorted positions of a random `share` of the training set, or of the positions `among`."""
    _check_share(share)
    pool = torch.arange(size_of(task.train)) if among is None else torch.as_tensor(among)
    return _draw(pool, share, generator)


def class_ids(
    task: Task,
    classes: Sequence[int],
    share: float,
    generator: torch.Generator,
    *,
    among: Sequence[int] | None = None,
) -> list[int]:
    """Sorted positions of a random `share` of each of the `classes`.

    Raises `BadRequest` for a class that no example (`among` the given) has.
    """
    _check_share(share)
    labels = task.classes
    pool = torch.arange(len(labels)) if among is None else torch.as_tensor(among)
    chosen: list[int] = []
    for number in dict.fromkeys(classes):
        members = pool[labels[pool] == number]
        if not len(members):
            known = ", ".join(map(str, labels[pool].unique().tolist()))
            raise BadRequest(f"No example has class {number}.", f"classes {known}.")
        chosen += _draw(members, share, generator)
    if not chosen:
        raise BadRequest("No class was named.", "one class or more.")
    return sorted(chosen)


def group_ids(
    task: Task, count: int, generator: torch.Generator, *, among: Sequence[int] | None = None
) -> list[int]:
    """Sorted positions of everything that `count` random groups (people, authors) put in.

    Raises `BadRequest` for a task without groups, or with fewer `among` the given.
    """
    if task.groups is None:
        raise BadRequest(f"Task {task.name} has no groups.", "a share, or a task with `groups`.")
    pool = range(len(task.groups)) if among is None else among
    groups = list(dict.fromkeys(task.groups[position] for position in pool))
    if not 1 <= count <= len(groups):
        raise BadRequest(f"{count} groups.", f"a number from 1 to {len(groups)}.")
    drawn = torch.randperm(len(groups), generator=generator)[:count].tolist()
    chosen = {groups[place] for place in drawn}
    return [position for position in sorted(pool) if task.groups[position] in chosen]


def _draw(pool: torch.Tensor, share: float, generator: torch.Generator) -> list[int]:
    count = max(1, round(share * len(pool)))
    return sorted(pool[torch.randperm(len(pool), generator=generator)[:count]].tolist())


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise BadRequest(f"A share of {share}.", "a number above 0 and at most 1.")
