"""`curenu bench`: methods compared on tasks and erasures against retrained oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import keeping, note, print_json, progress_bar, say_table, settle
from curenu.errors import BadRequest

__all__ = ["bench"]


def _complete(incomplete: str) -> list[str]:
    from curenu.bench import shipped

    return [name for name in shipped() if name.startswith(incomplete)]


def bench(
    config: Annotated[
        str | None,
        typer.Argument(help="A shipped name, or a TOML file.", autocompletion=_complete),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what ships.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; curenu-bench/NAME if not said.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder of trained networks, shared by all.")] = Path(
        "curenu-bench/networks"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 1,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="The small form, under 3 minutes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Train, retrain, erase by every method of a configuration, audit and compare.

    Killed or failed, the same command goes on where it was. Ends with 1 if a method has no
    figure on an erasure because all of its cells failed.
    Example: curenu bench quick --jobs 2
    """
    from curenu.bench import lines_of, load_config, report, run
    from curenu.cli.table import print_lines
    from curenu.distributed import require_one_process

    if listed:
        _list(as_json)
        return
    require_one_process("`curenu bench`, which has --jobs,")
    if config is None:
        raise BadRequest("No configuration was named.", "`curenu bench --list`.")
    name, chosen = load_config(config, smoke=smoke)
    folder = out or Path("curenu-bench") / name
    with keeping(lambda: _kept(folder, cache)):
        results = run(chosen, name, folder, cache, jobs=jobs, stage=progress_bar)
    report(results, folder)
    settle()
    if as_json:
        print_json(results)
    else:
        print_lines(results)
    note(f"report: {folder / 'report.html'}")
    lost = [line for line in lines_of(results) if not line.figures]
    for line in lost:
        note(f"all cells failed: {line.method} on {line.erasure}")
    if lost:
        raise typer.Exit(1)


def _kept(folder: Path, cache: Path) -> str:
    """What an interrupted run leaves, for the next one to go on with."""
    networks, cells = (len(list(place.glob(name))) for place, name in
                       ((cache, "*.safetensors"), (folder, "cells/*.json")))  # fmt: skip
    return (
        f"kept are {networks} trained networks in {cache} and {cells} cells in {folder}: the same "
        "command goes on there"
    )


def _list(as_json: bool) -> None:
    from curenu.bench import shipped

    configs = shipped()
    if as_json:
        print_json({name: config.model_dump(mode="json") for name, config in configs.items()})
        return
    rows = [[name, c.task.name, c.about, c.duration] for name, c in configs.items()]
    say_table(["configuration", "task", "what it shows", "on two cores"], rows)
