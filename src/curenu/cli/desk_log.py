"""`curenu desk log verify` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import note
from curenu.cli.desk_options import DeskOption, JsonOption, answer, opened_desk
from curenu.errors import BadRequest

__all__ = ["log"]

_UNSOUND = 1

log = typer.Typer(name="log", no_args_is_help=True, help="The desk's log: verify it, export it.")


@log.command()
def verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option("--head", help="A head from another machine; may be repeated."),
    ] = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Hold the log against the heads that were exported, and against those given; 1 if it differs.

    Heads of the desk's own folder go back with a restored folder: keep some elsewhere.

    Example: curenu desk log verify --head /mnt/usb/heads/0000000012.txt
    """
    here = opened_desk(desk)
    from curenu.desk.witnessing import verify_log

    try:
        notes = [path.read_bytes().decode() for path in heads or ()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadRequest(f"A head cannot be read: {why}.", "a file of heads/.") from None
    size, faults = verify_log(here, notes)
    said = faults or [f"The log of {size} entries is whole."]
    answer({"entries": size, "faults": faults}, *said, as_json=as_json)
    if faults:
        raise typer.Exit(_UNSOUND)


@log.command()
def export(
    place: Annotated[Path, typer.Argument(help="A new folder.")],
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Write the log, its newest head and the key list into a new folder; nobody is named in them.

    Example: curenu desk log export log-2026-11
    """
    here = opened_desk(desk)
    from curenu.desk.witnessing import export_log

    size = export_log(here, place)
    answer({"folder": str(place), "entries": size}, f"{place}: {size} entries", as_json=as_json)
    note("keep it on another machine")
