"""From words on the command line to methods, tasks and ids."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods import METHODS
from curenu.tasks import TASKS

__all__ = [
    "build_method",
    "complete_method",
    "complete_task",
    "default_of",
    "read_ids",
    "settable",
    "words_in",
    "words_of",
]

_PLAIN = (bool, int, float, str, types.NoneType)


def complete_method(incomplete: str) -> list[str]:
    """Names of methods that begin so."""
    return [name for name in METHODS if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """Names of built-in tasks that begin so."""
    return [name for name in TASKS if name.startswith(incomplete)]


def build_method(name: str, settings: Iterable[str]) -> Method:
    """The method of that name with `name=value` settings, each checked against its type.

    Raises `BadRequest` for unknown methods and fields, values that do not fit, and
    combinations the method itself refuses.
    """
    if name not in METHODS:
        raise BadRequest(f"No method is named {name!r}.", _suggestion(name, METHODS))
    kind = METHODS[name]
    types_of = settable(kind)
    chosen: dict[str, Any] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or field not in types_of:
            raise BadRequest(
                f"--set {setting}: {name} has no argument {field!r}."
                if equals
                else f"--set {setting} has no value.",
                f"name=value with {_suggestion(field, types_of)}",
            )
        chosen[field] = _parse(setting, text, types_of[field])
    return kind(**chosen)


def settable(kind: type) -> dict[str, Any]:
    """Names and types of a method's arguments that a word can give."""
    hints = get_type_hints(kind)
    plain = {field.name: _plain_part(hints[field.name]) for field in fields(kind)}
    return {name: hint for name, hint in plain.items() if hint is not None}


def default_of(field: Field[Any]) -> Any:
    """The default of a method's argument."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def read_ids(words: Iterable[str], named: Iterable[Any] | None) -> list[Any]:
    """Ids as the task has them: its own names, or positions where it has none.

    A word that is neither stays as it is, for the request's own check to refuse.
    """
    if named is None:
        return [int(word) if word.lstrip("-").isdecimal() else word for word in words]
    known = {str(name): name for name in named}
    return [known.get(word, word) for word in words]


def words_of(text: str) -> list[str]:
    """Ids separated by commas or white space."""
    return text.replace(",", " ").split()


def words_in(path: Path) -> list[str]:
    """Ids of a text file, separated by commas or white space."""
    try:
        return words_of(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"Cannot read ids from {path}: {error}.", "a text file of ids.") from error


def _plain_part(hint: Any) -> Any:
    """The part of a type that one word can mean; None if there is none."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in map(_plain_part, get_args(hint)) if part is not None]
        return Union[tuple(parts)] if parts else None  # noqa: UP007
    return hint if hint in _PLAIN or get_origin(hint) is Literal else None


def _parse(setting: str, text: str, hint: Any) -> Any:
    optional = hint is types.NoneType or types.NoneType in get_args(hint)
    if optional and text.lower() == "none":
        return None
    try:
        return TypeAdapter(hint).validate_python(text)
    except ValidationError as error:
        wanted = str(hint).replace("typing.", "") if get_args(hint) else hint.__name__
        raise BadRequest(f"--set {setting}: the value does not fit.", f"{wanted}.") from error


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return (f"{near[0]!r}; " if near else "") + f"one of {', '.join(known)}."
