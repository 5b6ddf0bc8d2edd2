"""`curenu desk check`, `worker`, `replay`, `backup` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import note, print_json, say, settle
from curenu.cli.desk_options import DeskOption, JsonOption, opened_desk

__all__ = ["backup", "check", "doctor", "replay", "worker"]

_UNSOUND = 1


def check(
    file: Annotated[Path, typer.Argument(help="A weights file that is to be served.")],
    desk: DeskOption = Path("desk"),
) -> None:
    """Say whether a weights file may be served; ends with 0 only if it is attested clean."""
    here = opened_desk(desk)
    from curenu.desk.allow_list import check_file
    from curenu.desk.looking import attestations
    from curenu.desk.ready import require_ready

    require_ready(here)
    verdict = check_file(file, *attestations(here))
    say(str(verdict))
    if not verdict.allowed:
        raise typer.Exit(_UNSOUND)


def worker(
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 5.0,
    desk: DeskOption = Path("desk"),
) -> None:
    """Seal and run what is due, until stopped; several may run on one database."""
    here = opened_desk(desk)
    from curenu.desk.worker import work

    for name, status in work(here, once=once, every=every):
        say(f"{name}: {status}")
    settle()


def replay(desk: DeskOption = Path("desk")) -> None:
    """After a backup was restored: have done again what was released since."""
    here = opened_desk(desk)
    from curenu.desk.replaying import replay as again

    made = again(here)
    settle()
    for name in made:
        say(f"{name}: to be run and released again")
    if not made:
        note("nothing is missing")


def backup(
    place: Annotated[Path, typer.Argument(help="The new file.")], desk: DeskOption = Path("desk")
) -> None:
    """Copy the database; keys, heads and the folder `replay` belong on other storage."""
    here = opened_desk(desk)
    from curenu.desk.replaying import backup as copy

    copy(here, place)
    settle()
    say(str(place))


def doctor(desk: DeskOption = Path("desk"), as_json: JsonOption = False) -> None:
    """Look for what is wrong or late; ends with 1 if anything is."""
    here = opened_desk(desk)
    from curenu.desk.looking import complaints

    found = complaints(here)
    settle()
    if as_json:
        print_json(found)
    else:
        for sentence in found or ["All is well."]:
            say(sentence)
    if found:
        raise typer.Exit(_UNSOUND)
