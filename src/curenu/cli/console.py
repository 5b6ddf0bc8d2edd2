"""What the terminal sees: results on stdout, progress and errors on stderr.

Everything goes through here as plain text: no markup, no emoji codes, no control characters of
a name reach the terminal, and output that cannot be written raises nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from curenu.cli.outlet import outlet, readable

__all__ = [
    "keeping",
    "note",
    "print_json",
    "progress_bar",
    "say",
    "say_table",
    "settle",
    "settled",
    "speaks",
    "stderr",
    "stdout",
]

_WIDE = 200  # columns where nobody says how wide the output is, as in a pipe
_NARROW = 60  # columns below which a table becomes a list
_SPOKEN = 5.0  # seconds between two lines of progress where there is no terminal
_settled = [False]


def stdout() -> Console:
    """Results: tables a person reads, or JSON."""
    return _console(stderr=False)


def stderr() -> Console:
    """Progress, notes and errors: everything that is no result."""
    return _console(stderr=True)


def speaks() -> bool:
    """Whether this is the process that speaks for all that `torchrun` started."""
    if "RANK" not in os.environ:
        return True
    from curenu.distributed import rank

    return rank() == 0


def settle(done: bool = True) -> None:
    """From here on what was asked is done: nothing that follows may end the command in failure."""
    _settled[0] = done


def settled() -> bool:
    """Whether what was asked is done."""
    return _settled[0]


def say(text: str) -> None:
    """A result, as plain text; long lines are folded at the width of the terminal."""
    console = stdout()
    console.print(_text(console, text))


def note(text: str) -> None:
    """One line for the person in front of it."""
    console = stderr()
    console.print(_text(console, text, style="dim"), soft_wrap=True)


def print_json(content: Any) -> None:
    """The one JSON document a command prints with `--json`."""
    if speaks():
        stream = outlet(stderr=False)
        stream.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
        stream.flush()


def say_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    numbers: bool = False,
    names: bool = False,
) -> None:
    """A table of plain texts; on a narrow terminal its rows below each other.

    `numbers`: all columns but the first hold numbers, which are kept whole; `names`: the first
    holds names, which are.
    """
    console = stdout()
    if console.width < _NARROW and len(headings) > 2:
        _say_list(console, headings, rows, title)
        return
    table = Table(title=_text(console, title) if title else None)
    for place, heading in enumerate(headings):
        side = "right" if numbers and place else "left"
        table.add_column(
            _text(console, heading),
            justify=side,
            no_wrap=numbers if place else names,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_text(console, cell) for cell in row))
    console.print(table)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, or plain lines now and then where there is no terminal.

    Yields the function to tell (done, total).
    """
    console = stderr()
    if not console.is_terminal or console.quiet:
        yield _spoken(text)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        shown = bar.add_task(readable(text, console.encoding), total=None)

        def told(done: int, total: int) -> None:
            bar.update(shown, completed=done, total=total or None)

        yield told


@contextmanager
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """For work that is kept piece by piece: an interruption carries what `kept` says of it."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(kept()) from interrupt


def _spoken(text: str) -> Callable[[int, int], None]:
    """Tells progress in lines: after some seconds, then at every further tenth."""
    start = last = time.monotonic()
    tenth = 0

    def told(done: int, total: int) -> None:
        nonlocal last, tenth
        now = time.monotonic()
        if now - last < _SPOKEN or not 0 < done < total or 10 * done // total <= tenth:
            return
        last, tenth = now, 10 * done // total
        left = (now - start) * (total - done) / done
        note(f"{text}: {10 * tenth} %, about {left:.0f} s left")

    return told


def _say_list(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], title: str
) -> None:
    lines = [title] if title else []
    for first, *others in rows:
        lines.append(first)
        lines += [
            f"  {heading}: {cell}" if heading else f"  {cell}"
            for heading, cell in zip(headings[1:], others, strict=True)
            if cell
        ]
    console.print(_text(console, "\n".join(lines)))


def _text(console: Console, text: str, style: str = "") -> Text:
    return Text(readable(text, console.encoding), style=style, overflow="fold")


def _console(*, stderr: bool) -> Console:
    stream = cast("IO[str]", outlet(stderr=stderr))
    quiet = not speaks()
    console = Console(file=stream, quiet=quiet)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        return Console(file=stream, quiet=quiet, width=_WIDE)
    return console
