"""`curenu desk`: the erasure desk's commands; what does the work is imported when one runs."""

from __future__ import annotations

from typing import Any

import typer

from curenu.cli.desk_batch import batch, release, report, run, verify
from curenu.cli.desk_care import backup, check, doctor, replay, scan, worker
from curenu.cli.desk_decide import approve, deny, extend, hold, shred
from curenu.cli.desk_intake import init, intake, listed, register, show
from curenu.cli.desk_key import key
from curenu.cli.desk_log import log
from curenu.cli.desk_old import dispose, notify

__all__ = ["desk"]

desk = typer.Typer(
    name="desk",
    no_args_is_help=True,
    help="Erasure requests from a letter to a released model with signed evidence.",
)

_COMMANDS: tuple[Any, ...] = (
    init, register, intake, listed, show, approve, deny, extend, hold, shred, batch, run, release,
    report, verify, check, scan, dispose, notify, worker, replay, backup, doctor,
)  # fmt: skip
for command in _COMMANDS:
    desk.command("list" if command is listed else command.__name__)(command)
for group in (log, key):
    desk.add_typer(group)
