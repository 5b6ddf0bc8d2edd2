"""What a run writes down of its recipe, its methods and its seeds."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from curenu.erasure import Method
from curenu.methods import METHODS
from curenu.records import Value, plain
from curenu.tasks import Task

__all__ = [
    "absolute_reference",
    "derived_seed",
    "describe_method",
    "describe_recipe",
]


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


def describe_recipe(task: Task) -> dict[str, Value]:
    """The recipe's numbers and names, without what is unset."""
    described = plain(task.recipe)
    return {name: value for name, value in described.items() if isinstance(value, Value)}
