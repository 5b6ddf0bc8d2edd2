"""`curenu train`: a first model in a new run folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curenu.cli.choice import TASK_NAMES, complete_task
from curenu.cli.console import note, print_json, progress_bar, say, settle
from curenu.cli.purge import KeepWeights
from curenu.errors import BadRequest

if TYPE_CHECKING:
    from curenu.runs.records import Value
    from curenu.runs.session import Session

__all__ = ["train"]


def train(
    task: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(TASK_NAMES)}, or `path/to/file.py:function`.",
            autocompletion=complete_task,
        ),
    ],
    run: Annotated[Path, typer.Argument(help="The new run folder.")],
    seed: Annotated[int, typer.Option(help="Seed of initialisation and batches.")] = 0,
    examples: Annotated[
        int | None, typer.Option(min=2, help="Use only so many training examples.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--option", help="A task's option as name=value.")
    ] = None,
    keep: Annotated[
        KeepWeights, typer.Option(help="Which weights stay after each request.")
    ] = KeepWeights.ALL,
    checkpoints: Annotated[
        int,
        typer.Option(
            min=0,
            help="Moments of training to keep the weights of: 3 for single persons' requests.",
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Train a task's model and keep it in a new run folder.

    Example: curenu train fashion-mnist run --seed 1 --option network=lenet
    """
    from curenu.arguments import split_settings
    from curenu.runs.session import Session

    options: dict[str, Value] = dict(split_settings("--option", settings or []))
    if examples is not None:
        if "examples" in options:
            raise BadRequest("The number of examples is given twice.", "--examples alone.")
        options["examples"] = examples
    with progress_bar(f"training {task}") as progress:
        session = Session.create(
            run,
            task,
            options=options,
            seed=seed,
            keep=keep.value,
            checkpoints=checkpoints,
            progress=progress,
        )
    settle()
    _tell(session, run, as_json=as_json)


def _tell(session: Session, run: Path, *, as_json: bool) -> None:
    description = session.description
    if as_json:
        print_json(
            description.model_dump(mode="json") | {"run": str(run), "head": session.head.hash}
        )
        return
    say(
        f"Trained {description.title} on {description.examples} examples in "
        f"{description.seconds:.1f} s; weights {description.start[:12]}."
    )
    say(f"Record 0, head {session.head.hash}")
    example = shlex.quote(str(session.id_of(0)))
    note(f"next: curenu unlearn {shlex.quote(str(run))} --ids {example}")
