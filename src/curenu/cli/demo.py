"""`curenu demo`: the main job on real data, from nothing to a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.choice import complete_task
from curenu.cli.console import keeping, note, print_json, progress_bar, say, settle
from curenu.cli.files import check_place, make_folder

__all__ = ["demo"]


def demo(
    task: Annotated[
        str | None,
        typer.Option(
            help="digits or fashion-mnist; the latter if its files are found.",
            autocompletion=complete_task,
        ),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=100, help="Use only so many training examples.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Nine tenths of two classes by more methods; longer.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("curenu-demo"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes of one thread; two if there are cores.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Show only that all of it runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Train, erase one example and a random hundredth by four methods, compare with retraining.

    It is the benchmark `demo` (with --all, `demo-all`): the same command goes on where it was.
    Example: curenu demo --task digits --out report
    """
    from curenu.bench import demo_config, lines_of, report, run, verdict
    from curenu.cli.table import print_brief
    from curenu.distributed import require_one_process

    require_one_process("`curenu demo`, which has --jobs,")
    name = "demo-all" if everything else "demo"
    config, which = demo_config(name, task, examples=examples, quick=quick)
    make_folder(out)
    check_place(out / "report.html")
    note(which)
    processes = jobs or min(2, os.cpu_count() or 1)
    kept = f"what was finished is kept in {out}: the same command goes on there"
    with keeping(lambda: kept):
        results = run(config, name, out, out / "networks", jobs=processes, stage=progress_bar)
    report(results, out, featured=config.methods[0].title)
    settle()
    if as_json:
        print_json(results)
    else:
        print_brief(results)
        lines = lines_of(results)
        for erasure in results["requests"]:
            own = [line for line in lines if line.erasure == erasure]
            say(f"{erasure}. {verdict(own, config.methods[0].title)}")
    note(f"report: {out / 'report.html'}")
