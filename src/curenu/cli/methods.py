"""`curenu methods`: what can be asked for by name."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer

from curenu.cli.choice import complete_method
from curenu.cli.console import print_json, say, say_table

__all__ = ["methods"]


def methods(
    name: Annotated[
        str | None,
        typer.Argument(help="One method, with its arguments.", autocompletion=complete_method),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """List the methods, what they cost and promise; or one, with its arguments and defaults.

    Example: curenu methods stocurenu
    """
    from curenu.methods import METHODS, resolve_method

    if name is not None and name not in METHODS:
        resolve_method(name)  # says which there are
    chosen = METHODS if name is None else {name: METHODS[name]}
    listed = [_describe(key, kind) for key, kind in chosen.items()]
    if as_json:
        print_json(listed if name is None else listed[0])
    elif name is None:
        parts = ("name", "summary", "cost", "promise")
        say_table(
            ["method", "what it does", "costs", "promises"],
            [[entry[part] for part in parts] for entry in listed],
            names=True,
        )
        say("Arguments of one: `curenu methods NAME`; set them by `--set name=value`.")
    else:
        _show(listed[0])


def _show(entry: dict[str, Any]) -> None:
    say(f"{entry['name']}: {entry['summary']}")
    say(f"costs: {entry['cost']}; promises: {entry['promise']}")
    rows = [[key, _short(value)] for key, value in entry["arguments"].items()]
    if rows:
        say_table(["argument (`--set name=value`)", "default"], rows)


def _describe(name: str, kind: type) -> dict[str, Any]:
    from curenu.method_choice import default_of, settable
    from curenu.methods.catalogue import ABOUT
    from curenu.runs.records import plain

    known = settable(kind)
    return {
        "name": name,
        "summary": (inspect.getdoc(kind) or "").splitlines()[0],
        "cost": ABOUT[name].cost,
        "promise": ABOUT[name].promise,
        "arguments": {
            field.name: plain(default_of(field)) for field in fields(kind) if field.name in known
        },
    }


def _short(value: Any) -> str:
    """A solver by its class alone; anything else as it is."""
    return str(value["type"] if isinstance(value, dict) else value)
