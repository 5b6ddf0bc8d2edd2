"""Real data, networks and recipes: one task a file, and the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from curenu.arguments import fit_arguments, hints_of, suggestion
from curenu.errors import BadRequest
from curenu.tasks.adult import adult
from curenu.tasks.cifar10 import cifar10
from curenu.tasks.digits import digits
from curenu.tasks.fashion_mnist import fashion_mnist, find_fashion_mnist
from curenu.tasks.movielens import movielens
from curenu.tasks.newsgroups import newsgroups
from curenu.tasks.recipe import Recipe, train
from curenu.tasks.selection import (
    class_positions,
    group_positions,
    ids_at,
    named_group_positions,
    random_positions,
)
from curenu.tasks.task import Task
from curenu.tasks.tofu import tofu
from curenu.user_code import calling
from curenu.user_file import function_of, is_reference

__all__ = [
    "TASKS",
    "Recipe",
    "Task",
    "build_task",
    "class_positions",
    "find_fashion_mnist",
    "group_positions",
    "ids_at",
    "load_task",
    "named_group_positions",
    "random_positions",
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


def load_task(name: str, **options: Any) -> Task:
    """The built-in task of that name, or the one a user's `file.py:function` returns.

    `options` are arguments of the task's function. Raises `BadRequest` for an unknown name,
    file, function or option, and for a value that is not of the option's type, `MissingData`
    when a built-in task's data are not there.
    """
    return build_task(name, options)[0]


def build_task(name: str, options: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
    """The task as `load_task` gives it, and its options made what their types say.

    An option may be a word, "3" for 3: a user's own without a type stays a word.
    """
    make = TASKS.get(name)
    if make is None and is_reference(name):
        make = function_of(name)
    if make is None:
        known = [*TASKS, "path/to/file.py:function"]
        raise BadRequest(f"No task is named {name!r}.", suggestion(name, known))
    fitted = fit_arguments(f"Task {name}", options, _types(make, options))
    if missing := _missing(make, fitted):
        raise BadRequest(
            f"Task {name} needs {', '.join(missing)}.",
            "; ".join(f"`--option {word}=...`" for word in missing) + ", in Python an option.",
        )
    with calling(f"Task {name}"):
        task = make(**fitted)
    if not isinstance(task, Task):
        raise BadRequest(
            f"{name} returned a {type(task).__name__}.", "a function that returns a `curenu.Task`."
        )
    return task, fitted


def _missing(make: Callable[..., Task], given: Mapping[str, Any]) -> list[str]:
    """The arguments without a default of their own that are not given."""
    return [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and name not in given
    ]


def _types(make: Callable[..., Task], options: Mapping[str, Any]) -> dict[str, Any]:
    """The types of a function's arguments, `Any` where none is said."""
    parameters = inspect.signature(make).parameters
    hints = hints_of(make)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {name: hints.get(name, Any) for name in [*names, *(options if open_ended else ())]}
