"""`curenu demo`: the main job on real data, from nothing to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.choice import complete_task
from curenu.cli.console import keeping, note, print_json, progress_bar, settle
from curenu.cli.files import check_place, make_folder, write_text

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
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("curenu-demo"),
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Show only that all of it runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Train, erase 90 % of two classes by five methods, and compare with retraining.

    Example: curenu demo --task digits --out report
    """
    from curenu.cli.table import print_comparison
    from curenu.demo import choose_task, run_demo
    from curenu.networks import Networks
    from curenu.report import document

    chosen, which = choose_task(task, examples=examples, quick=quick)
    make_folder(out)
    check_place(out / "report.html")
    note(which)
    networks = Networks.in_folder(out / "networks", chosen, chosen.name)
    with keeping(lambda: f"networks that were trained are kept in {out / 'networks'}"):
        found = run_demo(networks, progress_bar, seed=seed, quick=quick)
    results = document(found.rows, found.report.facts | {"seed": seed, "choice": which})
    write_text(out / "results.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    write_text(out / "report.html", found.report.html())
    settle()
    if as_json:
        print_json(results)
        return
    print_comparison(found.rows, f"{which} Erased {found.report.facts['erased']}.")
    note(f"report: {out / 'report.html'}")
