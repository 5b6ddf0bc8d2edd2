"""What a run writes down of its recipe, its methods and its seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from curenu import cubic, linear
from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods import METHODS
from curenu.newton import tuning
from curenu.runs.records import Value, plain
from curenu.tasks import Task

__all__ = [
    "absolute_reference",
    "derived_seed",
    "describe_method",
    "describe_recipe",
    "method_of",
]


_MADE = (cubic, linear, tuning)  # where the parts of methods are defined


def absolute_reference(task: str) -> str:
    """`file.py:function` with the file's full path, so that a run opens from anywhere."""
    file, colon, function = task.rpartition(":")
    return f"{Path(file).resolve()}:{function}" if colon else task


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """A seed below 2^31 from a run's seed; another purpose or number gives another."""
    mixed = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(mixed[:4], "big") >> 1


def describe_method(method: Method) -> tuple[str, dict[str, Any]]:
    """A method's name and its arguments, as JSON can hold them."""
    names = {kind: name for name, kind in METHODS.items()}
    arguments = (
        {field.name: plain(getattr(method, field.name)) for field in fields(method)}
        if is_dataclass(method)
        else {}
    )
    return names.get(type(method), type(method).__name__), arguments


def method_of(name: str, arguments: Mapping[str, Any]) -> Method:
    """The method that `describe_method` describes; `BadRequest` for one it cannot make again."""
    try:
        made = METHODS[name](**{key: _made(value) for key, value in arguments.items()})
    except (KeyError, TypeError) as error:
        raise BadRequest(
            f"Method {name!r} cannot be made from its description: {error}.",
            "a method of `curenu.methods`, or running the request where it was prepared.",
        ) from error
    if describe_method(made) != (name, dict(arguments)):
        raise BadRequest(
            f"Method {name!r} is not wholly told by its description.",
            "running the request where it was prepared.",
        )
    return made


def _made(value: Any) -> Any:
    """What `plain` made JSON of: mappings with a `type` are solvers, lists tuples."""
    if isinstance(value, list):
        return tuple(_made(item) for item in value)
    if isinstance(value, Mapping) and "type" in value:
        made = [getattr(place, value["type"]) for place in _MADE if hasattr(place, value["type"])]
        if not made:
            raise TypeError(f"no part of a method is a {value['type']}")
        return made[0](**{key: _made(item) for key, item in value.items() if key != "type"})
    return value


def describe_recipe(task: Task) -> dict[str, Value]:
    """The recipe's numbers and names, without what is unset."""
    described = plain(task.recipe)
    return {name: value for name, value in described.items() if isinstance(value, Value)}
