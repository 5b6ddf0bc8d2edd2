"""Real data, networks and recipes: one task a file, and the user's own."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from curenu.errors import BadRequest, CurenuError
from curenu.tasks.digits import digits
from curenu.tasks.fashion_mnist import fashion_mnist, find_fashion_mnist
from curenu.tasks.recipe import Recipe, train
from curenu.tasks.selection import class_ids, random_ids
from curenu.tasks.task import Task

__all__ = [
    "TASKS",
    "Recipe",
    "Task",
    "available",
    "class_ids",
    "find_fashion_mnist",
    "load_task",
    "random_ids",
    "train",
]

TASKS: dict[str, Callable[..., Task]] = {"digits": digits, "fashion-mnist": fashion_mnist}


def available() -> tuple[str, ...]:
    """Names of the built-in tasks."""
    return tuple(TASKS)


def load_task(name: str, **options: Any) -> Task:
    """The built-in task of that name, or the one a user's `file.py:function` returns.

    `options` are arguments of the task's function. Raises `BadRequest` for an unknown name,
    file, function or option, and `MissingData` when a built-in task's data are not there.
    """
    make = TASKS.get(name)
    if make is None:
        make = _from_file(name)
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


def _from_file(name: str) -> Callable[..., Task]:
    path, _, function = name.rpartition(":")
    if not path:
        close = difflib.get_close_matches(name, TASKS, n=1)
        raise BadRequest(
            f"No task is named {name!r}.",
            f"{close[0]}." if close else f"{', '.join(TASKS)} or path/to/file.py:function.",
        )
    if not Path(path).is_file():
        raise BadRequest(f"There is no file {path}.", "the path of a Python file.")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{path} is no Python file.", "a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except CurenuError:
        raise
    except Exception as error:
        raise BadRequest(
            f"{path} cannot be imported: {type(error).__name__}: {error}.", "mending the file."
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise BadRequest(f"{path} has no function {function!r}.", "the name of one it has.")
    return cast(Callable[..., Task], found)
