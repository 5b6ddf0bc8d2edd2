"""Which examples a request on the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curenu.cli.choice import classes_in
from curenu.cli.ids import Asked, Form, asked_by_options, asked_in_file, places_of
from curenu.distributed import require_one_process
from curenu.errors import BadRequest
from curenu.names import Names, names_of
from curenu.runs.identity import derived_seed
from curenu.runs.session import Session
from curenu.tasks import Task, class_positions, named_group_positions, random_positions

__all__ = ["selected"]


def selected(
    session: Session,
    number: int,
    ways: dict[str, Any],
    *,
    share: float | None = None,
    column: str | None = None,
    form: Form | None = None,
) -> list[Any]:
    """The ids that request `number` names; drawn ones are the same when it is made again.

    One of the `ways` is given and says which examples; `share` belongs to classes, `column`
    and `form` to a file.
    """
    chosen_ways = [(way, given) for way, given in ways.items() if given not in (None, [])]
    if len(chosen_ways) != 1:
        raise BadRequest(
            f"Examples to erase are named in {len(chosen_ways)} ways.",
            "exactly one of --ids, --ids-file, --classes, --groups, --random.",
        )
    way, given = chosen_ways[0]
    _check_belonging(way, {"--share": share, "--column": column, "--ids-format": form})
    task = session.task
    if way in ("--ids", "--ids-file"):
        named = way == "--ids"
        asked = asked_by_options(way, given) if named else _in_file(given, column, form)
        chosen = places_of(asked, names_of(task.ids, session.description.examples))
    else:
        chosen = _drawn(session, number, way, given, 1.0 if share is None else share)
    return chosen if task.ids is None else [task.ids[place] for place in chosen]


def _check_belonging(way: str, given: dict[str, Any]) -> None:
    owner = {"--share": "--classes", "--column": "--ids-file", "--ids-format": "--ids-file"}
    for option, value in given.items():
        if value is not None and way != owner[option]:
            raise BadRequest(
                f"{option} is of {owner[option]}, and {way} has none.", f"{way} without it."
            )


def _in_file(path: Path, column: str | None, form: Form | None) -> Asked:
    if str(path) == "-":
        require_one_process("Reading ids from standard input")
    return asked_in_file(path, column, form)


def _drawn(session: Session, number: int, way: str, given: Any, share: float) -> list[int]:
    """Positions by group, class or chance, among what the request found."""
    task = session.task
    seed = derived_seed(session.description.seed, "selection", number)
    generator = torch.Generator().manual_seed(seed)
    among = session.retained_before(number)
    if way == "--groups":
        return named_group_positions(task, _groups(given, task), among=among)
    if way == "--random":
        return random_positions(task, given, generator, among=among)
    return class_positions(task, classes_in(given), share, generator, among=among)


def _groups(words: Sequence[str], task: Task) -> list[Any]:
    """The groups of these names, each an option, unsplit; one that none has as it is."""
    known = list(dict.fromkeys(task.groups or ()))
    names = Names(known, len(known), "group")
    places = [(word, names.place(word)) for word in words]
    return [word if place is None else known[place] for word, place in places]
