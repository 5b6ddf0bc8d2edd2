"""`curenu unlearn`: one erasure request on a run folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.choice import build_method, complete_method
from curenu.cli.console import NOT_GRANTED, note, progress_bar
from curenu.cli.record import plan_text, print_plan, print_record, repeated_text
from curenu.cli.selection import selected
from curenu.estimate import estimate
from curenu.runs import Session, SessionResult

__all__ = ["unlearn"]


class Anchor(StrEnum):
    """Where the anchored objective is built."""

    LAST = "last"
    FIRST = "first"


ShareOption = Annotated[
    float | None, typer.Option(help="Share of those classes to erase; all if not given.")
]
GroupsOption = Annotated[
    str | None, typer.Option(help="Everything of these groups (people, authors): name,name.")
]
RandomOption = Annotated[
    float | None, typer.Option(help="Share of the retained examples to erase, at random.")
]
MethodOption = Annotated[
    str, typer.Option(help="See `curenu methods`.", autocompletion=complete_method)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A method's argument as name=value.")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option(help="Move only parameters of this name or pattern.")
]
RequestOption = Annotated[
    str | None, typer.Option(help="A name: the same request twice is granted once.")
]
AnchorOption = Annotated[
    Anchor, typer.Option(help="Model the objective is built at: the last release, or the first.")
]
CheckOption = Annotated[
    bool, typer.Option("--check-drift", help="Compare with erasing everything at once.")
]
AcceptOption = Annotated[
    bool,
    typer.Option("--accept", help="Grant the result even if its status is not ok; on record."),
]
EveryOption = Annotated[int, typer.Option(min=0, help="Do so at every so many requests; 0: never.")]


def unlearn(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    ids: Annotated[str | None, typer.Option(help="Ids to erase: 1,2,3.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="A text file of ids to erase.")] = None,
    classes: Annotated[str | None, typer.Option(help="Classes to erase from: 0,3.")] = None,
    groups: GroupsOption = None,
    share: ShareOption = None,
    random: RandomOption = None,
    method: MethodOption = "stocurenu",
    settings: SetOption = None,
    only: OnlyOption = None,
    seed: Annotated[int | None, typer.Option(help="Derived from the run's if not given.")] = None,
    request: RequestOption = None,
    anchor: AnchorOption = Anchor.LAST,
    accept: AcceptOption = False,
    check_drift: CheckOption = False,
    check_every: EveryOption = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and estimate only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Erase examples from a run's current model.

    Ends with 6 if the method came to no result that can be used: the request is then on record
    as an attempt, nobody is erased, and the same may be asked again.

    Example: curenu unlearn run --classes 0,3 --share 0.9 --method curenu --set max_steps=2

    Example: curenu unlearn run --groups "author 3,author 7"
    """
    session = Session.open(run)
    chosen = build_method(method, settings or [])
    known = session.record_of(request)
    number = session.number_of(request)
    ways = {
        "--ids": ids,
        "--ids-file": ids_file,
        "--classes": classes,
        "--groups": groups,
        "--random": random,
    }
    forget = selected(session, number, {k: v for k, v in ways.items() if v is not None}, share)
    how = {"seed": seed, "request": request, "only": only, "anchor": anchor.value}
    if known is None:
        asked = session.prepare(forget, chosen, **how)
        needed = estimate(asked.risk, chosen.plan(asked.problem))
        if dry_run:
            print_plan(asked, needed, as_json)
            return
        note(plan_text(asked, needed))
    every = 1 if check_drift else check_every
    with progress_bar(f"erasing by {method}") as progress:
        result = session.unlearn(
            forget, chosen, **how, accept=accept, check_drift=every, progress=progress
        )
    _answer(run, session, result, as_json)


def _answer(run: Path, session: Session, result: SessionResult, as_json: bool) -> None:
    """What came of the request; ends with `NOT_GRANTED` if it was recorded as an attempt."""
    record = result.record
    if result.repeated:
        note(repeated_text(record, session.current))
    print_record(record, result.head, as_json)
    if not record.granted:
        note(f"next: another method or setting, `curenu retrain {run} --without {record.number}`")
        raise typer.Exit(NOT_GRANTED)
