"""`curenu methods`: what can be asked for by name."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer

from curenu.cli.console import print_json, say_table

__all__ = ["methods"]


def methods(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """List the methods, one line each, with their arguments and defaults.

    Example: curenu methods
    """
    from curenu.methods import METHODS

    listed = [_describe(name, kind) for name, kind in METHODS.items()]
    if as_json:
        print_json(listed)
        return
    rows = []
    for entry in listed:
        arguments = (f"{name}={_short(value)}" for name, value in entry["arguments"].items())
        rows.append([entry["name"], entry["summary"], " ".join(arguments)])
    say_table(["method", "what it does", "arguments (`--set name=value`)"], rows)


def _describe(name: str, kind: type) -> dict[str, Any]:
    from curenu.method_choice import default_of, settable
    from curenu.runs.records import plain

    known = settable(kind)
    return {
        "name": name,
        "summary": (inspect.getdoc(kind) or "").splitlines()[0],
        "arguments": {
            field.name: plain(default_of(field)) for field in fields(kind) if field.name in known
        },
    }


def _short(value: Any) -> str:
    """A solver by its class alone; anything else as it is."""
    return str(value["type"] if isinstance(value, dict) else value)
