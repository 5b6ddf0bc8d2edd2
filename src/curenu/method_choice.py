"""A method from its name and arguments, as words or configurations give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from inspect import signature
from typing import Any, get_type_hints

from curenu.arguments import fit_arguments, hints_of, plain_part, suggestion
from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods import METHODS, PlainCallable
from curenu.user_file import function_of, is_reference

__all__ = ["default_of", "make_method", "settable", "suggestion"]

PAPER = ".paper"
"""Ending that asks for a method's preset with the paper's settings."""


def make_method(name: str, arguments: Mapping[str, Any]) -> Method:
    """The method of that name with `arguments`, each checked against its type.

    `name.paper` is its preset, which needs `penalty`; `file.py:function` a user's own. Raises
    `BadRequest` for unknown names and arguments, values that do not fit, and combinations
    the method itself refuses.
    """
    if is_reference(name):
        return _own(name, arguments)
    plain, paper = name.removesuffix(PAPER), name.endswith(PAPER)
    kind = METHODS.get(plain)
    if kind is None or (paper and not hasattr(kind, "paper")):
        known = [*METHODS, "path/to/file.py:function"]
        raise BadRequest(f"No method is named {name!r}.", suggestion(name, known))
    hints = _of_preset(kind) if paper else settable(kind)
    chosen = fit_arguments(name, arguments, hints)
    if not paper:
        return kind(**chosen)
    if "penalty" not in chosen:
        raise BadRequest(f"{name} needs a penalty.", "`penalty`, the paper's M.")
    return kind.paper(**chosen)  # type: ignore[attr-defined]


def _own(name: str, arguments: Mapping[str, Any]) -> PlainCallable:
    """A user's function with the arguments of `PlainCallable`, and with its own by name."""
    function = function_of(name)
    ours, theirs = settable(PlainCallable), _keywords(function)
    both = sorted(arguments.keys() & ours.keys() & theirs.keys())
    if both:
        raise BadRequest(
            f"{name} has an argument {both[0]!r} of its own, which the loaders have too.",
            "another name for it in the function.",
        )
    chosen = fit_arguments(name, arguments, theirs | ours)
    own = {key: value for key, value in chosen.items() if key not in ours}
    return PlainCallable(
        function, **{key: chosen[key] for key in chosen.keys() & ours}, arguments=own
    )


def _keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """Names and types of what a function takes after its four; the type of a default if none."""
    hints, found = hints_of(function), {}
    for parameter in list(signature(function).parameters.values())[4:]:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            known = parameter.default is not parameter.empty and parameter.default is not None
            told = type(parameter.default) if known else Any
            found[parameter.name] = hints.get(parameter.name, told)
    return found


def settable(kind: type) -> dict[str, Any]:
    """Names and types of a method's arguments that a word can give."""
    hints = get_type_hints(kind)
    plain = {field.name: plain_part(hints[field.name]) for field in fields(kind)}
    return {name: hint for name, hint in plain.items() if hint is not None}


def _of_preset(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind.paper)
    return {name: hint for name, hint in hints.items() if name != "return"}


def default_of(field: Field[Any]) -> Any:
    """The default of a method's argument."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None
