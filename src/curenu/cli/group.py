"""The group of commands: its errors, exit codes and interrupts, as lines or as JSON."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

from rich.text import Text
from typer.core import TyperGroup

from curenu.cli.console import note, settle, settled, stderr
from curenu.cli.outlet import outlet, readable
from curenu.errors import (
    BadRequest,
    Cancelled,
    CurenuError,
    MissingData,
    RunBroken,
    RunBusy,
    RunMoved,
    SourceNotTrusted,
)

__all__ = ["EXIT_CODES", "INTERRUPTED", "CommandGroup"]

EXIT_CODES: list[tuple[type[CurenuError], int]] = [
    (BadRequest, 2),
    (MissingData, 3),
    (RunBroken, 4),
    (RunMoved, 8),
    (RunBusy, 7),
    (SourceNotTrusted, 9),
    (Cancelled, 130),
    (CurenuError, 5),
]
"""The first kind that fits decides; docs/cli.md has the whole table."""

INTERRUPTED = 130
_UNWRITTEN = 1

_KEPT = {
    "purge": "what is on record as removed is: see `curenu log`",
    "retrain": "the retraining is on record wholly or not at all: see `curenu log`",
    "unlearn": "the request is on record wholly or not at all: see `curenu show`",
}


@dataclass(frozen=True)
class _Stopped:
    """A command that was interrupted, and what is kept of it in words."""

    kept: str


class CommandGroup(TyperGroup):
    """Turns errors into two lines on stderr (with `--json` one JSON object) and an exit code.

    Once a command has said that it is done (`settle`), it ends with 0 whatever becomes of its
    output. With `CURENU_DEBUG=1` errors are raised as they are.
    """

    def main(self, args: Any = None, *rest: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """Run one command line and leave with its exit code."""
        given = sys.argv[1:] if args is None else list(args)
        if not standalone_mode:
            return super().main(given, *rest, standalone_mode=False, **more)
        settle(False)
        outlet(stderr=False)  # from here on no writing fails, help included
        outlet(stderr=True)
        try:
            code = super().main(given, *rest, standalone_mode=False, **more)
        except Exception as error:  # of every kind: what is done stays done
            code = _told(error, as_json="--json" in given)
        if code == INTERRUPTED:
            _interrupted("", as_json="--json" in given)
        elif isinstance(code, _Stopped):
            _interrupted(code.kept, as_json="--json" in given)
            code = INTERRUPTED
        return _leave(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _joined():
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            if settled():
                note("interrupted; what was asked had been done")
                return 0
            whole = _KEPT.get(ctx.invoked_subcommand or "", "nothing of this command was kept")
            kept = interrupt.args[0] if interrupt.args else whole  # see `keeping`
            return _Stopped(kept)


def _joined() -> Any:
    """One of several processes where `torchrun` started this; alone without loading torch."""
    if "RANK" not in os.environ:
        return nullcontext()
    from curenu.distributed import joined

    return joined()


def _told(error: Exception, *, as_json: bool) -> int:
    """Say what an error means; its exit code. What nobody foresaw is raised again."""
    debug = os.environ.get("CURENU_DEBUG") == "1"
    if isinstance(error, CurenuError) and not debug and not settled():
        code = next(code for kind, code in EXIT_CODES if isinstance(error, kind))
        _print_error(type(error).__name__, error.problem, error.remedy, code, as_json)
        return code
    usage = getattr(error, "format_message", None)  # the option parser's own
    if usage is not None and not settled():
        code, context = getattr(error, "exit_code", 2), getattr(error, "ctx", None)
        if not usage():  # help was shown, for lack of a command
            return code
        command = context.command_path if context is not None else "curenu"
        _print_error("BadRequest", usage(), f"`{command} --help`.", code, as_json)
        return code
    if settled() and not debug:
        note(f"done, but the result could not be shown: {type(error).__name__}: {error}")
        return 0
    if as_json and not debug:
        found = f"{type(error).__name__}: {error}"
        _print_error("Unforeseen", found, "`CURENU_DEBUG=1` for the traceback.", 1, as_json)
        return 1
    raise error


def _interrupted(kept: str, *, as_json: bool) -> None:
    """One line, or with `--json` one object."""
    problem = f"interrupted; {kept}" if kept else "interrupted"
    if as_json:
        _print_error("Interrupted", problem, "the same command again.", INTERRUPTED, as_json)
    else:
        note(problem)


def _print_error(kind: str, problem: str, remedy: str, code: int, as_json: bool) -> None:
    if as_json:
        found = {"error": kind, "problem": problem, "remedy": remedy, "exit_code": code}
        stream = outlet(stderr=True)
        stream.write(json.dumps(found) + "\n")
        stream.flush()
        return
    console = stderr()
    console.quiet = False  # any process may have found it
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    for head, text in (("error", problem), ("try", remedy)):
        line = Text(f"process {os.environ.get('RANK')}: " if several and head == "error" else "")
        line.append(f"{head}:", style="bold red")
        line.append(" " + readable(text, console.encoding))
        console.print(line, soft_wrap=True)


def _leave(code: int) -> NoReturn:
    """End the process; a result that nobody could read is a failure unless all was done."""
    out = outlet(stderr=False)
    out.flush()
    if out.failure is not None and not out.gone:
        note(f"the output could not be written: {out.failure}")
        if code == 0 and not settled():
            code = _UNWRITTEN
    outlet(stderr=True).flush()
    sys.exit(code)
