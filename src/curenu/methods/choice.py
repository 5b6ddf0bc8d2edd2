"""A method from its name and arguments, as words or configurations give them."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods import METHODS, PlainCallable
from curenu.user_file import function_of, is_reference

__all__ = ["default_of", "make_method", "settable", "suggestion"]

PAPER = ".paper"
"""Ending that asks for a method's preset with the paper's settings."""

_PLAIN = (bool, int, float, str, types.NoneType)


def make_method(name: str, arguments: Mapping[str, Any]) -> Method:
    """The method of that name with `arguments`, each checked against its type.

    `name.paper` is its preset, which needs `penalty`; `file.py:function` a user's own. Raises
    `BadRequest` for unknown names and arguments, values that do not fit, and combinations
    the method itself refuses.
    """
    if is_reference(name):
        chosen = _fitted(name, arguments, settable(PlainCallable))
        return PlainCallable(function_of(name), **chosen)
    plain, paper = name.removesuffix(PAPER), name.endswith(PAPER)
    kind = METHODS.get(plain)
    if kind is None or (paper and not hasattr(kind, "paper")):
        known = [*METHODS, "path/to/file.py:function"]
        raise BadRequest(f"No method is named {name!r}.", suggestion(name, known))
    hints = _of_preset(kind) if paper else settable(kind)
    chosen = _fitted(name, arguments, hints)
    if not paper:
        return kind(**chosen)
    if "penalty" not in chosen:
        raise BadRequest(f"{name} needs a penalty.", "`penalty`, the paper's M.")
    return kind.paper(**chosen)  # type: ignore[attr-defined]


def settable(kind: type) -> dict[str, Any]:
    """Names and types of a method's arguments that a word can give."""
    hints = get_type_hints(kind)
    plain = {field.name: _plain_part(hints[field.name]) for field in fields(kind)}
    return {name: hint for name, hint in plain.items() if hint is not None}


def _of_preset(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind.paper)
    return {name: hint for name, hint in hints.items() if name != "return"}


def default_of(field: Field[Any]) -> Any:
    """The default of a method's argument."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest known, or all."""
    near = get_close_matches(word, list(known), n=1)
    return (f"{near[0]!r}; " if near else "") + f"one of {', '.join(known)}."


def _plain_part(hint: Any) -> Any:
    """The part of a type that one word can mean; None if there is none."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in map(_plain_part, get_args(hint)) if part is not None]
        return Union[tuple(parts)] if parts else None  # noqa: UP007
    return hint if hint in _PLAIN or get_origin(hint) is Literal else None


def _fitted(name: str, arguments: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    for argument in arguments:
        if argument not in hints:
            raise BadRequest(f"{name} has no argument {argument!r}.", suggestion(argument, hints))
    return {key: _fit(name, key, value, hints[key]) for key, value in arguments.items()}


def _fit(name: str, argument: str, value: Any, hint: Any) -> Any:
    optional = hint is types.NoneType or types.NoneType in get_args(hint)
    if optional and isinstance(value, str) and value.lower() == "none":
        return None
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        wanted = str(hint).replace("typing.", "") if get_args(hint) else hint.__name__
        raise BadRequest(
            f"{name}, {argument}={value}: the value does not fit.", f"{wanted}."
        ) from error
