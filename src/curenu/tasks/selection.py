"""Which examples a request names: at random, by class, or by whom they are about."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches

import torch

from curenu.checks import size_of
from curenu.errors import BadRequest
from curenu.tasks.task import Task

__all__ = ["class_positions", "group_positions", "named_group_positions", "random_positions"]


def random_positions(
    task: Task, share: float, generator: torch.Generator, *, among: Sequence[int] | None = None
) -> list[int]:
    """Sorted positions of a random `share` of the training set, or of the positions `among`."""
    _check_share(share)
    pool = torch.arange(size_of(task.train)) if among is None else torch.as_tensor(among)
    return _draw(pool, share, generator)


def class_positions(
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


def group_positions(
    task: Task, count: int, generator: torch.Generator, *, among: Sequence[int] | None = None
) -> list[int]:
    """Sorted positions of everything that `count` random groups (people, authors) put in.

    Raises `BadRequest` for a task without groups, or with fewer `among` the given.
    """
    members = _members(task, among)
    if not 1 <= count <= len(members):
        raise BadRequest(f"{count} groups.", f"a number from 1 to {len(members)}.")
    groups = list(members)
    drawn = torch.randperm(len(groups), generator=generator)[:count].tolist()
    return sorted(position for place in drawn for position in members[groups[place]])


def named_group_positions(
    task: Task, names: Sequence[Hashable], *, among: Sequence[int] | None = None
) -> list[int]:
    """Sorted positions of everything that the groups of these `names` put in.

    Of a group that is in part gone from `among`, what is left. Raises `BadRequest` for a task
    without groups, no name, one that no group has, and a group with nothing `among` the given.
    """
    members, everyone = _members(task, among), _members(task, None)
    if not names:
        raise BadRequest("No group was named.", "one group or more.")
    for name in names:
        if name not in everyone:
            raise BadRequest(f"No group is named {str(name)!r}.", _near(str(name), everyone))
        if name not in members:
            raise BadRequest(f"Nothing is left of group {str(name)!r}.", "a group that stays.")
    return sorted(position for name in dict.fromkeys(names) for position in members[name])


def ids_at(task: Task, positions: Iterable[int]) -> list[Hashable]:
    """The ids of the examples at `positions`: what `Session.unlearn` is asked with.

    Positions in the training set are what the functions above give; they are ids only where a
    task names none. Raises `BadRequest` for a position that the training set does not have.
    """
    count, asked = size_of(task.train), list(positions)
    outside = [position for position in asked if not 0 <= position < count]
    if outside:
        raise BadRequest(f"Position {outside[0]} of {count} examples.", f"0 to {count - 1}.")
    return list(asked) if task.ids is None else [task.ids[position] for position in asked]


def _members(task: Task, among: Sequence[int] | None) -> dict[Hashable, list[int]]:
    """Positions `among` the given (None: all) of each group, in the order groups are met."""
    if task.groups is None:
        raise BadRequest(
            f"Task {task.name} has no groups.", "ids, classes, a share, or a task with `groups`."
        )
    found: dict[Hashable, list[int]] = {}
    for position in range(len(task.groups)) if among is None else among:
        found.setdefault(task.groups[position], []).append(position)
    return found


def _near(word: str, groups: Iterable[Hashable]) -> str:
    """The nearest name, or the first few: there may be thousands."""
    names = [str(group) for group in groups]
    near = get_close_matches(word, names, n=1)
    few = ", ".join(names[:3])
    return f"{near[0]!r}." if near else f"one of the {len(names)} groups, such as {few}."


def _draw(pool: torch.Tensor, share: float, generator: torch.Generator) -> list[int]:
    count = max(1, round(share * len(pool)))
    return sorted(pool[torch.randperm(len(pool), generator=generator)[:count]].tolist())


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise BadRequest(f"A share of {share}.", "a number above 0 and at most 1.")
