"""Arguments given as words or numbers, fitted to the types that they are declared with."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from curenu.errors import BadRequest

__all__ = ["fit_arguments", "hints_of", "plain_part", "split_settings", "suggestion"]

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_PLAIN = (bool, int, float, str, types.NoneType)


def fit_arguments(
    name: str, arguments: Mapping[str, Any], hints: Mapping[str, Any]
) -> dict[str, Any]:
    """The `arguments` of `name`, each made what its type in `hints` says.

    A type that no word can mean, such as `Any` or a class, takes the value as it is. Raises
    `BadRequest` for an argument that is not in `hints` or a value that does not fit.
    """
    for argument in arguments:
        if argument not in hints:
            advice = suggestion(argument, hints) if hints else "none: it takes no arguments."
            raise BadRequest(f"{name} has no argument {argument!r}.", advice)
    return {key: _fit(name, key, value, hints[key]) for key, value in arguments.items()}


def split_settings(flag: str, settings: Iterable[str]) -> dict[str, str]:
    """`name=value` words after an option `flag`, by name; `BadRequest` for one that is none."""
    chosen: dict[str, str] = {}
    for setting in settings:
        argument, equals, text = setting.partition("=")
        if not equals:
            raise BadRequest(f"{flag} {setting} has no value.", "name=value.")
        if argument in chosen:
            raise BadRequest(f"{flag} {argument} is given twice.", "one value.")
        chosen[argument] = text
    return chosen


def plain_part(hint: Any) -> Any:
    """The part of a type that one word can mean; None if there is none."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in map(plain_part, get_args(hint)) if part is not None]
        return Union[tuple(parts)] if parts else None  # noqa: UP007
    return hint if hint in _PLAIN or get_origin(hint) is Literal else None


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The types that a user's function says of its arguments, by name."""
    try:
        return get_type_hints(function)
    except NameError:  # of names that only a type checker sees
        return {}


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest known, or all."""
    names = list(known)
    near = get_close_matches(word, names, n=1)
    return (f"{near[0]!r}; " if near else "") + f"one of {', '.join(names)}."


def _fit(name: str, argument: str, value: Any, hint: Any) -> Any:
    if plain_part(hint) != hint:
        return value
    optional = hint is types.NoneType or types.NoneType in get_args(hint)
    if optional and isinstance(value, str) and value.lower() == "none":
        return None
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        wanted = _WORDS.get(hint) or (
            str(hint).replace("typing.", "") if get_args(hint) else hint.__name__
        )
        raise BadRequest(
            f"{name}, {argument}={value}: the value does not fit.", f"{wanted}."
        ) from error
