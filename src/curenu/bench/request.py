"""From a configured erasure to the examples that go, round by round."""

from __future__ import annotations

import dataclasses
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
    """The request, or another of the same kind for tuning: other examples, classes, people."""
    seed = erasure.seed + (_VALIDATION if validation else 0)
    generator = torch.Generator().manual_seed(seed)
    if erasure.kind == "classes":
        return _classes(task, erasure, generator, shift=int(validation))
    if erasure.kind == "groups":
        return _groups(task, erasure, generator)
    share = erasure.share or (erasure.count or 0) / size_of(task.train)
    gone = random_positions(task, share, generator)
    if erasure.kind == "mislabelled":
        task = _spoilt(task, gone, generator)
    order = torch.tensor(gone)[torch.randperm(len(gone), generator=generator)]
    return Request(task, _dealt(order.tolist(), erasure.rounds))


def _classes(
    task: Task, erasure: ErasureConfig, generator: torch.Generator, *, shift: int
) -> Request:
    known = sorted(set(task.classes.tolist()))
    strangers = [number for number in erasure.classes if number not in known]
    if strangers:
        raise BadRequest(f"No example has class {strangers[0]}.", f"classes {known}.")
    places = [(known.index(number) + shift) % len(known) for number in erasure.classes]
    chosen = [known[place] for place in places]
    share = erasure.share or 0.0
    if erasure.rounds == 1:
        return Request(task, (tuple(class_positions(task, chosen, share, generator)),))
    if erasure.rounds != len(chosen):
        raise BadRequest(
            f"{erasure.rounds} rounds of {len(chosen)} classes.", "one round, or one a class."
        )
    return Request(task, tuple(tuple(class_positions(task, [c], share, generator)) for c in chosen))


def _groups(task: Task, erasure: ErasureConfig, generator: torch.Generator) -> Request:
    gone = group_positions(task, erasure.count or 0, generator)
    groups = task.groups or ()
    members: dict[object, list[int]] = {}
    for position in gone:
        members.setdefault(groups[position], []).append(position)
    dealt = _dealt(list(range(len(members))), erasure.rounds)
    parts = list(members.values())
    return Request(
        task, tuple(tuple(sorted(p for place in part for p in parts[place])) for part in dealt)
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
