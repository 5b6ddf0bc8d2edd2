"""Settings checked against the types that they are declared with: one place for all methods."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from curenu.errors import BadRequest

__all__ = [
    "BelowOne",
    "Bytes",
    "Count",
    "InsideOne",
    "NotNegative",
    "Positive",
    "Rule",
    "Seed",
    "Settings",
    "Share",
    "UpToOne",
    "ZeroOrMore",
    "fitted",
]


@dataclass(frozen=True)
class Rule:
    """What a number must be beside its type, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


_WORD = 2**63  # what torch counts in is below

Count = Annotated[int, Rule("a whole number of 1 or more", lambda x: 1 <= x < _WORD)]
ZeroOrMore = Annotated[int, Rule("a whole number of 0 or more", lambda x: 0 <= x < _WORD)]
Bytes = Annotated[int, Rule("a number of bytes, 0 or more", lambda x: x >= 0)]
Seed = Annotated[
    int, Rule("a whole number from -2**63 to 2**63 - 1", lambda x: -_WORD <= x < _WORD)
]
Positive = Annotated[float, Rule("a positive number", lambda x: 0 < x < math.inf)]
NotNegative = Annotated[float, Rule("zero or a positive number", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, Rule("a number in (0, 1]", lambda x: 0 < x <= 1)]
UpToOne = Annotated[float, Rule("a number in [0, 1]", lambda x: 0 <= x <= 1)]
BelowOne = Annotated[float, Rule("a number in [0, 1)", lambda x: 0 <= x < 1)]
InsideOne = Annotated[float, Rule("a number between 0 and 1", lambda x: 0 < x < 1)]


class Settings:
    """Base of frozen dataclasses of settings: every field is what its type says, or refused.

    Types are plain ones, `Literal`s, tuples and unions of them, and those of this module, which
    add a `Rule`. Whole numbers and scalars of NumPy become Python's own. NaN, text and truth
    values are no numbers, and numbers with a point count nothing. Types of other kinds are left
    to the class itself.
    """

    def __post_init__(self) -> None:
        """Raises `BadRequest`, naming the field, for a value that its type does not allow."""
        for name, hint in _hints(type(self)).items():
            value = fitted(name, getattr(self, name), hint, of=type(self).__name__)
            object.__setattr__(self, name, value)


def fitted(name: str, value: Any, hint: Any, *, of: str | None = None) -> Any:
    """`value` as `hint` has it; `BadRequest`, naming the argument `name` (of `of`), otherwise.

    `of` is what the argument is one of: the name of a class, say.
    """
    try:
        return _fitted(value, hint)
    except _Misfit:
        said = f"{name}={value!r}"
        raise BadRequest(
            f"{said if of is None else f'{of}({said})'}.", f"{_words(hint)}."
        ) from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


class _Misfit(Exception):
    """A value is not of a type."""


def _fitted(value: Any, hint: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = _fitted(value, parts[0])
        return _if(all(r.holds(found) for r in parts[1:] if isinstance(r, Rule)), found)
    if origin in (Union, types.UnionType):
        return _first_fitting(value, parts)
    if origin is Literal:
        return _if(any(type(value) is type(one) and value == one for one in parts), value)
    if origin is tuple:
        return _fitted_each(value, parts)
    if hint in (int, float):
        return _number(value, whole=hint is int)
    if hint is bool:
        plain = _plain(value)
        return _if(isinstance(plain, bool), plain)
    if isinstance(hint, type) and (hint in (str, types.NoneType) or is_dataclass(hint)):
        return _if(isinstance(value, hint), value)
    return value


def _if(holds: bool, value: Any) -> Any:
    if not holds:
        raise _Misfit
    return value


def _first_fitting(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return _fitted(value, hint)
        except _Misfit:
            continue
    raise _Misfit


def _fitted_each(value: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    _if(isinstance(value, tuple | list), value)
    hints = parts[:1] * len(value) if parts[1:] == (...,) else parts
    _if(len(value) == len(hints), value)
    return tuple(_fitted(one, hint) for one, hint in zip(value, hints, strict=True))


def _number(value: Any, *, whole: bool) -> int | float:
    plain: Any = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, Integral if whole else Real):
        raise _Misfit
    try:
        number = int(plain) if whole else float(plain)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        raise _Misfit from None
    return _if(not math.isnan(number), number)


def _plain(value: Any) -> Any:
    """Scalars of NumPy and of torch as Python has them."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            return value.item()
        except (RuntimeError, TypeError, ValueError):  # a tensor without content
            return value
    return value


def _words(hint: Any) -> str:
    """What a type wants, for a person."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next((rule.words for rule in parts[1:] if isinstance(rule, Rule)), _words(parts[0]))
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in parts)
    if origin is Literal:
        return " or ".join(f'"{one}"' if isinstance(one, str) else repr(one) for one in parts)
    if origin is tuple:
        many = parts[1:] == (...,)
        each = parts[:1] if many else parts
        return f"a tuple{'' if many else f' of {len(each)}'}, each {_words(each[0])}"
    named = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
    named[types.NoneType] = "None"
    return named.get(hint) or f"a `{getattr(hint, '__name__', hint)}`"
