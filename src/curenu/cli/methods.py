"""`curenu methods`: what can be asked for by name."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer
from rich.table import Table

from curenu.cli.console import print_json, stdout
from curenu.method_choice import default_of, settable
from curenu.methods import METHODS
from curenu.runs.records import plain

__all__ = ["methods"]


def methods(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """List the methods, one line each, with their arguments and defaults.

    Example: curenu methods
    """
    listed = [_describe(name, kind) for name, kind in METHODS.items()]
    if as_json:
        print_json(listed)
        return
    table = Table("method", "what it does", "arguments (`--set name=value`)")
    for entry in listed:
        arguments = (f"{name}={_short(value)}" for name, value in entry["arguments"].items())
        table.add_row(entry["name"], entry["summary"], " ".join(arguments))
    stdout().print(table)


def _describe(name: str, kind: type) -> dict[str, Any]:
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
