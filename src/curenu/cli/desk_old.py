"""`curenu desk dispose` and `notify`: what becomes of old versions, and who has them."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from curenu.cli.console import note
from curenu.cli.desk_options import ByOption, DeskOption, JsonOption, answer, opened_desk
from curenu.errors import BadRequest

__all__ = ["dispose", "notify"]


def dispose(
    model: Annotated[str, typer.Argument(help="The model whose old versions are to go.")],
    by: ByOption,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Also the weights that G is measured from, and those in the registered folder.",
        ),
    ] = False,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Destroy old versions and old attempts; what goes is on record before it goes.

    Only once no backup from before the erasures is left: it could not be brought up again. Copies
    on other machines are for those who hold them: curenu desk notify.

    Example: curenu desk dispose digits --by bea
    """
    here = opened_desk(desk)
    from curenu.desk.disposing import dispose as destroy

    done = destroy(here, model, by, everything=everything)
    lines = [f"{digest}: disposed of" for digest in done.gone]
    lines += [f"attempt {one}: removed" for one in done.attempts]
    content = asdict(done) | {"evidence": None if done.evidence is None else str(done.evidence)}
    answer(content, *(lines or ["Nothing is old."]), as_json=as_json)
    for digest in done.kept:
        note(f"{digest} stays: registered, or G is measured from it; --everything takes it too")


def notify(
    program: Annotated[
        str | None, typer.Option("--send", help="A program that gets each notice as JSON on stdin.")
    ] = None,
    told: Annotated[
        str | None, typer.Option(help="A recipient whom somebody has told by other means.")
    ] = None,
    acknowledged: Annotated[
        str | None, typer.Option(help="A recipient who has answered that the old weights are gone.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="The version it is about; all that are open without it.")
    ] = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Tell those who received old weights; without an option, show who is still to be told.

    A notice counts as told once the program ended with 0; a killed one may be told twice.

    Example: curenu desk notify --send "sh mail-a-notice.sh"
    """
    given = [one for one in (program, told, acknowledged) if one is not None]
    if len(given) > 1:
        raise BadRequest("--send, --told and --acknowledged are three things.", "one at a time.")
    here = opened_desk(desk)
    from curenu.desk import notifying

    if told is not None or acknowledged is not None:
        mark = notifying.told if told is not None else notifying.acknowledge
        name = str(told if told is not None else acknowledged)
        count = mark(here, name, version)
        word = "told" if told is not None else "acknowledged"
        answer({"recipient": name, word: count}, f"{name}: {word}, {count}", as_json=as_json)
        return
    if version is not None:
        raise BadRequest("--version goes with --told or --acknowledged.", "one of them.")
    notices = notifying.pending(here) if program is None else _sent(here, program)
    word = "to be told" if program is None else "told"
    lines = [f"{n.recipient}: {word} that {n.weights} of {n.model} is over" for n in notices]
    answer([asdict(n) for n in notices], *(lines or ["Nobody is to be told."]), as_json=as_json)


def _sent(here: Any, program: str) -> list[Any]:
    from curenu.desk.notifying import send

    try:
        words = shlex.split(program)
    except ValueError as error:
        raise BadRequest(
            f"--send {program!r}: {error}.", "the program as a shell has it."
        ) from None
    if not words:
        raise BadRequest("--send names no program.", "a program and its arguments.")
    return send(here, words)
