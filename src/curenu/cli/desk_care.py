"""`curenu desk check`, `scan`, `worker`, `replay`, `backup` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curenu.cli.console import note, print_json, say, settle
from curenu.cli.desk_options import DeskOption, JsonOption, answer, opened_desk
from curenu.errors import BadRequest

if TYPE_CHECKING:
    from curenu.desk.allow_list import Verdict

__all__ = ["backup", "check", "doctor", "replay", "scan", "worker"]

_UNSOUND = 1


def check(
    file: Annotated[Path, typer.Argument(help="A weights file that is to be served.")],
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Say whether a weights file may be served; ends with 0 only if it is attested clean.

    Example: curenu desk check model.safetensors
    """
    here = opened_desk(desk)
    from curenu.desk.allow_list import check_file
    from curenu.desk.looking import attestations
    from curenu.desk.ready import require_ready

    require_ready(here)
    verdict = check_file(file, *attestations(here))
    answer(_said(verdict), str(verdict), as_json=as_json)
    if not verdict.allowed:
        raise typer.Exit(_UNSOUND)


def scan(
    folder: Annotated[Path, typer.Argument(help="A folder that is served from.")],
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Say of each file below a folder whether it may be served; 0 only if all may.

    Texts that lie beside weights are passed over; archives and links to folders are denied, and so
    is a folder without weights.

    Example: curenu desk scan /srv/models
    """
    here = opened_desk(desk)
    from curenu.desk.allow_list import all_clean, scan_folder
    from curenu.desk.looking import attestations
    from curenu.desk.ready import require_ready

    require_ready(here)
    if not folder.is_dir():
        raise BadRequest(f"{folder} is no folder.", "`curenu desk check` for a file.")
    found = scan_folder(folder, *attestations(here))
    lines = [str(verdict) for verdict in found] or [f"There are no weights in {folder}."]
    answer([_said(verdict) for verdict in found], *lines, as_json=as_json)
    if not all_clean(found):
        raise typer.Exit(_UNSOUND)


def _said(verdict: Verdict) -> dict[str, Any]:
    return {
        "path": str(verdict.path), "sha256": verdict.sha256, "clean": verdict.allowed,
        "reason": str(verdict.reason),
    }  # fmt: skip


def worker(
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 5.0,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Seal and run what is due, until stopped; several may run on one database.

    With --json each batch is an object of its own, as soon as it ended.

    Example: curenu desk worker --once
    """
    here = opened_desk(desk)
    from curenu.desk.worker import work

    for name, status in work(here, once=once, every=every):
        if as_json:
            print_json({"batch": name, "status": status})
        else:
            say(f"{name}: {status}")
    settle()


def replay(desk: DeskOption = Path("desk"), as_json: JsonOption = False) -> None:
    """After a backup was restored: have done again what was released since.

    Example: curenu desk replay
    """
    here = opened_desk(desk)
    from curenu.desk.replaying import replay as again

    made = again(here)
    lines = [f"{name}: to be run and released again" for name in made]
    answer(made, *lines, as_json=as_json)
    if not made:
        note("nothing is missing")


def backup(
    place: Annotated[Path, typer.Argument(help="The new file.")],
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Copy the database; keys, heads and the folder `replay` belong on other storage.

    Example: curenu desk backup desk-2026-11-27.sqlite
    """
    here = opened_desk(desk)
    from curenu.desk.replaying import backup as copy

    copy(here, place)
    answer({"backup": str(place)}, str(place), as_json=as_json)


def doctor(desk: DeskOption = Path("desk"), as_json: JsonOption = False) -> None:
    """Look for what is wrong or late; ends with 1 if anything is.

    Example: curenu desk doctor
    """
    here = opened_desk(desk)
    from curenu.desk.looking import complaints

    found = complaints(here)
    answer(found, *(found or ["All is well."]), as_json=as_json)
    if found:
        raise typer.Exit(_UNSOUND)
