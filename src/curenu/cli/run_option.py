"""What every command that opens a run is told about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from curenu.runs.session import Session

__all__ = ["RunArgument", "TaskOption", "TrustOption", "opened"]

RunArgument = Annotated[Path, typer.Argument(help="The run folder.")]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="Where the task's file is now: path/to/file.py:function."),
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run the task's file although nobody vouched for it.")
]


def opened(run: Path, task: str | None, trust: bool) -> Session:
    """The session on the run; its task from the file `task`, run unseen only with `trust`."""
    from curenu.runs.session import Session

    return Session.open(run, task, trust=trust)
