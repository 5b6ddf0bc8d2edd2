"""What the terminal sees: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from curenu.distributed import joined, rank
from curenu.errors import BadRequest, Cancelled, CurenuError, MissingData, RunBroken, RunBusy

__all__ = [
    "BROKEN",
    "NOT_GRANTED",
    "CommandGroup",
    "note",
    "print_json",
    "progress_bar",
    "stderr",
    "stdout",
]

_WIDE = 200  # columns where nobody says how wide the output is, as in a pipe

_EXIT_CODES: list[tuple[type[CurenuError], int]] = [
    (BadRequest, 2),
    (MissingData, 3),
    (RunBroken, 4),
    (RunBusy, 7),
    (Cancelled, 130),
    (CurenuError, 5),
]
NOT_GRANTED = 6
"""Exit code of a request that was recorded as an attempt: nobody was erased."""

BROKEN = 4
"""Exit code of a run in which something does not fit."""

_INTERRUPTED = 130


def stdout() -> Console:
    """Results: tables a person reads, or JSON."""
    return _console(stderr=False)


def stderr() -> Console:
    """Progress, notes and errors: everything that is no result."""
    return _console(stderr=True)


def print_json(content: Any) -> None:
    """The one JSON document a command prints with `--json`."""
    if rank() == 0:
        typer.echo(json.dumps(content, indent=2, allow_nan=False))


def note(text: str) -> None:
    """One line for the person in front of it."""
    stderr().print(text, style="dim", highlight=False, markup=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; yields the function to tell (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = stderr()
    hidden = not console.is_terminal or console.quiet
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        shown = bar.add_task(text, total=None)

        def told(done: int, total: int) -> None:
            bar.update(shown, completed=done, total=total or None)

        yield told


class CommandGroup(TyperGroup):
    """Turns the package's errors into two lines on stderr and an exit code.

    0 done, 2 bad request, 3 missing data, 4 run folder broken, 5 model or numerics, 6 recorded
    as an attempt and not granted, 7 run in use, 130 interrupted. With `CURENU_DEBUG=1` errors
    are raised as they are.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with joined():
                return super().invoke(ctx)
        except CurenuError as error:
            if os.environ.get("CURENU_DEBUG") == "1":
                raise
            _print_error(error)
            code = next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
            raise typer.Exit(code) from error
        except KeyboardInterrupt as interrupt:
            note("interrupted; nothing of this command was kept")
            raise typer.Exit(_INTERRUPTED) from interrupt


def _print_error(error: CurenuError) -> None:
    console = stderr()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # any of them may have found it
        console.print(f"process {os.environ.get('RANK')}:", end=" ")
    for head, text in (("error", error.problem), ("try", error.remedy)):
        console.print(f"[bold red]{head}:[/]", end=" ")
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, quiet=rank() > 0)  # the first process speaks for all
    if not console.is_terminal and "COLUMNS" not in os.environ:
        return Console(stderr=stderr, quiet=console.quiet, width=_WIDE)
    return console
