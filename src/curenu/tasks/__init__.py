"""Real data, networks and recipes: one task a file, and the user's own."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from curenu.errors import BadRequest
from curenu.tasks.adult import adult
from curenu.tasks.cifar10 import cifar10
from curenu.tasks.digits import digits
from curenu.tasks.fashion_mnist import fashion_mnist, find_fashion_mnist
from curenu.tasks.movielens import movielens
from curenu.tasks.newsgroups import newsgroups
from curenu.tasks.recipe import Recipe, train
from curenu.tasks.selection import class_ids, group_ids, random_ids
from curenu.tasks.task import Task
from curenu.tasks.tofu import tofu
from curenu.user_file import function_of, is_reference

__all__ = [
    "TASKS",
    "Recipe",
    "Task",
    "available",
    "class_ids",
    "find_fashion_mnist",
    "group_ids",
    "load_task",
    "random_ids",
    "train",
]

TASKS: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "newsgroups": newsgroups,
    "adult": adult,
    "movielens": movielens,
    "tofu": tofu,
}


def available() -> tuple[str, ...]:
    """Names of the built-in tasks."""
    return tuple(TASKS)


def load_task(name: str, **options: Any) -> Task:
    """The built-in task of that name, or the one a user's `file.py:function` returns.

    `options` are arguments of the task's function. Raises `BadRequest` for an unknown name,
    file, function or option, and `MissingData` when a built-in task's data are not there.
    """
    make = TASKS.get(name)
    if make is None and is_reference(name):
        make = function_of(name)
    if make is None:
        close = difflib.get_close_matches(name, TASKS, n=1)
        raise BadRequest(
            f"No task is named {name!r}.",
            f"{close[0]}." if close else f"{', '.join(TASKS)} or path/to/file.py:function.",
        )
    known = inspect.signature(make).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for option in options:
        if option not in known and not anything:
            raise BadRequest(
                f"Task {name} takes no option {option!r}.",
                f"{', '.join(known)}." if known else "no options: it takes none.",
            )
    task = make(**options)
    if not isinstance(task, Task):
        raise BadRequest(
            f"{name} returned a {type(task).__name__}.", "a function that returns a `curenu.Task`."
        )
    return task
