"""Which examples a request on the command line names."""

from __future__ import annotations

from typing import Any

import torch

from curenu.cli.choice import read_ids, words_in, words_of
from curenu.errors import BadRequest
from curenu.runs.identity import derived_seed
from curenu.runs.session import Session
from curenu.tasks import Task, class_ids, named_group_ids, random_ids

__all__ = ["selected"]


def selected(session: Session, number: int, ways: dict[str, Any], share: float | None) -> list[Any]:
    """The ids that request `number` names; drawn ones are the same when it is made again."""
    if len(ways) != 1:
        raise BadRequest(
            f"Examples to erase are named in {len(ways)} ways.",
            "exactly one of --ids, --ids-file, --classes, --groups, --random.",
        )
    way, given = next(iter(ways.items()))
    if share is not None and way != "--classes":
        raise BadRequest(f"--share is of --classes, and {way} has none.", f"{way} without it.")
    if way == "--ids":
        return read_ids(words_of(given), session.task.ids)
    if way == "--ids-file":
        return read_ids(words_in(given), session.task.ids)
    seed = derived_seed(session.description.seed, "selection", number)
    generator = torch.Generator().manual_seed(seed)
    among = session.retained_before(number)
    if way == "--groups":
        chosen = named_group_ids(session.task, _groups(given, session.task), among=among)
    elif way == "--random":
        chosen = random_ids(session.task, given, generator, among=among)
    else:
        named = _classes(given)
        part = 1.0 if share is None else share
        chosen = class_ids(session.task, named, part, generator, among=among)
    return chosen if session.task.ids is None else [session.task.ids[p] for p in chosen]


def _groups(text: str, task: Task) -> list[Any]:
    """Names are told apart by commas alone, for "author 3" is one; so is one with a comma."""
    known = dict.fromkeys(task.groups or ())
    whole = text.strip()
    if whole in map(str, known):
        return read_ids([whole], known)
    return read_ids([word for part in text.split(",") if (word := part.strip())], known)


def _classes(text: str) -> list[int]:
    words = words_of(text)
    if not all(word.isdecimal() for word in words):
        raise BadRequest(f"--classes {text} are no classes.", "numbers such as 0,3.")
    return [int(word) for word in words]
