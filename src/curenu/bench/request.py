"""From a configured erasure to the examples that go, round by round."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import TensorDataset

from curenu.bench.config import ErasureConfig
from curenu.checks import size_of
from curenu.errors import BadRequest
from curenu.tasks import Task, class_positions, group_positions, random_positions

__all__ = ["Request", "draw"]

_VALIDATION = 1_000  # added to the seed of the selection: another request of the same kind


@dataclass(frozen=True)
class Request:
    """The task (its labels spoilt, if that is what goes) and the positions of each round."""

    task: Task
    rounds: tuple[tuple[int, ...], ...]

    def forgotten(self, round_: int) -> list[int]:
        """Sorted positions of everything erased up to and in round `round_`, from 1."""
        return sorted(position for part in self.rounds[:round_] for position in part)

    def retained(self, round_: int) -> list[int]:
        """Sorted positions of what is left after round `round_`; all after round 0."""
        gone = set(self.forgotten(round_))
        return [position for position in range(size_of(self.task.train)) if position not in gone]


def draw(task: Task, erasure: ErasureConfig, *, validation: bool = False) -> Request:
    """The request, or another of the same kind and size for tuning, without any of its examples.

    For tuning: other examples, classes that are not reported, other people. Raises `BadRequest`
    where the task has too few of them.
    """
    seed = erasure.seed + (_VALIDATION if validation else 0)
    generator = torch.Generator().manual_seed(seed)
    if not validation:
        return _drawn(task, erasure, generator)
    reported = draw(task, erasure)
    among = reported.retained(erasure.rounds)
    found = _drawn(task, erasure, generator, among)
    shared = set(found.forgotten(erasure.rounds)) & set(reported.forgotten(erasure.rounds))
    if shared:
        raise _too_few(erasure, f"{len(shared)} examples would be in both")
    return found


def _drawn(
    task: Task,
    erasure: ErasureConfig,
    generator: torch.Generator,
    among: Sequence[int] | None = None,
) -> Request:
    """A request of all examples, or for tuning of those `among` the ones that nobody reports."""
    if erasure.kind == "classes":
        return _classes(task, erasure, generator, among)
    if erasure.kind == "groups":
        return _groups(task, erasure, generator, among)
    size = size_of(task.train)
    share = erasure.share or (erasure.count or 0) / size
    if among is not None:
        share *= size / max(1, len(among))
        if share > 1:
            raise _too_few(erasure, f"{len(among)} of {size} examples are not reported")
    gone = random_positions(task, share, generator, among=among)
    if erasure.kind == "mislabelled":
        task = _spoilt(task, gone, generator)
    order = torch.tensor(gone)[torch.randperm(len(gone), generator=generator)]
    return Request(task, _dealt(order.tolist(), erasure.rounds))


def _classes(
    task: Task,
    erasure: ErasureConfig,
    generator: torch.Generator,
    among: Sequence[int] | None,
) -> Request:
    known = sorted(set(task.classes.tolist()))
    strangers = [number for number in erasure.classes if number not in known]
    if strangers:
        raise BadRequest(f"No example has class {strangers[0]}.", f"classes {known}.")
    chosen = list(erasure.classes) if among is None else _next_classes(erasure, known)
    share = erasure.share or 0.0
    if erasure.rounds == 1:
        return Request(task, (tuple(class_positions(task, chosen, share, generator)),))
    if erasure.rounds != len(chosen):
        raise BadRequest(
            f"{erasure.rounds} rounds of {len(chosen)} classes.", "one round, or one a class."
        )
    return Request(task, tuple(tuple(class_positions(task, [c], share, generator)) for c in chosen))


def _next_classes(erasure: ErasureConfig, known: Sequence[int]) -> list[int]:
    """The same pattern of classes further on, as near as none of the reported ones is in it."""
    places = [known.index(number) for number in erasure.classes]
    for shift in range(1, len(known)):
        moved = [known[(place + shift) % len(known)] for place in places]
        if not set(moved) & set(erasure.classes):
            return moved
    raise _too_few(erasure, f"any {len(places)} of {len(known)} classes would share one")


def _groups(
    task: Task,
    erasure: ErasureConfig,
    generator: torch.Generator,
    among: Sequence[int] | None,
) -> Request:
    groups = task.groups or ()
    left = {groups[position] for position in among or ()}
    if among is not None and len(left) < (erasure.count or 0):
        raise _too_few(erasure, f"{len(left)} groups are not reported")
    gone = group_positions(task, erasure.count or 0, generator, among=among)
    members: dict[object, list[int]] = {}
    for position in gone:
        members.setdefault(groups[position], []).append(position)
    dealt = _dealt(list(range(len(members))), erasure.rounds)
    parts = list(members.values())
    return Request(
        task, tuple(tuple(sorted(p for place in part for p in parts[place])) for part in dealt)
    )


def _too_few(erasure: ErasureConfig, why: str) -> BadRequest:
    return BadRequest(
        f"No request like {erasure.name!r} is left to tune on: {why}.",
        "a smaller erasure, or methods without a `grid`.",
    )


def _spoilt(task: Task, gone: list[int], generator: torch.Generator) -> Task:
    """The task with the labels of `gone` moved to another class, at random."""
    if not isinstance(task.train, TensorDataset):
        raise BadRequest(f"Task {task.name} keeps its labels out of reach.", "a tensor dataset.")
    inputs, labels = task.train.tensors
    count = int(task.classes.max()) + 1
    shift = torch.randint(1, count, (len(gone),), generator=generator)
    moved = labels.clone()
    moved[gone] = (moved[gone] + shift) % count
    return dataclasses.replace(task, train=TensorDataset(inputs, moved))


def _dealt(items: list[int], rounds: int) -> tuple[tuple[int, ...], ...]:
    if len(items) < rounds:
        raise BadRequest(f"{len(items)} examples or groups in {rounds} rounds.", "fewer rounds.")
    return tuple(tuple(sorted(items[first::rounds])) for first in range(rounds))
