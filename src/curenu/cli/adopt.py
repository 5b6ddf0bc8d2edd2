"""`curenu adopt`: a run that begins with a model trained elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curenu.cli.choice import TASK_NAMES, complete_task
from curenu.cli.console import note, print_json, say, settle
from curenu.cli.purge import KeepWeights

if TYPE_CHECKING:
    from curenu.runs.records import Value

__all__ = ["adopt"]


def adopt(
    weights: Annotated[
        Path,
        typer.Argument(help="A state dict: a safetensors file, or one of `torch.save`."),
    ],
    task: Annotated[
        str,
        typer.Argument(
            help=f"What it was trained on and how: {', '.join(TASK_NAMES)}, or "
            "`path/to/file.py:function`.",
            autocompletion=complete_task,
        ),
    ],
    run: Annotated[Path, typer.Argument(help="The new run folder.")],
    seed: Annotated[int, typer.Option(help="Seed of later retrainings.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--option", help="A task's option as name=value.")
    ] = None,
    keep: Annotated[
        KeepWeights, typer.Option(help="Which weights stay after each request.")
    ] = KeepWeights.ALL,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Begin a run with a model that was trained elsewhere.

    The task says its data, network, loss and recipe. Nothing here saw the training: the record and
    every later report say so.

    Example: curenu adopt model.safetensors mine.py:task run
    """
    from curenu.arguments import split_settings
    from curenu.runs.session import Session

    options: dict[str, Value] = dict(split_settings("--option", settings or []))
    session = Session.adopt(run, task, weights, options=options, seed=seed, keep=keep.value)
    settle()
    described, place = session.description, shlex.quote(str(run))
    if as_json:
        print_json(described.model_dump(mode="json") | {"run": str(run), "head": session.head.hash})
        return
    say(
        f"Adopted {described.title} on {described.examples} examples; weights "
        f"{described.start[:12]}. {session.origin}"
    )
    say(f"Record 0, head {session.head.hash}")
    note(f"next: curenu unlearn {place} --ids {shlex.quote(str(session.id_of(0)))}")
