"""`curenu unlearn`: one erasure request on a run folder."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curenu.cli.choice import build_method, complete_method
from curenu.cli.console import note, progress_bar, settle
from curenu.cli.endings import NOT_GRANTED
from curenu.cli.ids import Form
from curenu.cli.run_option import RunArgument, TaskOption, TrustOption, opened
from curenu.names import check_request_name

if TYPE_CHECKING:
    from curenu.runs.session import Request, Session, SessionResult

__all__ = ["unlearn"]


_WAYS: tuple[str, ...] = ("--ids", "--ids-file", "--classes", "--groups", "--random")


class Anchor(StrEnum):
    """Where the anchored objective is built."""

    LAST = "last"
    FIRST = "first"


IdsOption = Annotated[
    list[str] | None, typer.Option(help="An id to erase, as it stands; may be repeated.")
]
FileOption = Annotated[
    Path | None,
    typer.Option(help="One id a line; or .csv, .json, .jsonl; - for standard input."),
]
ColumnOption = Annotated[str | None, typer.Option(help="The column of ids in that file.")]
FormOption = Annotated[
    Form | None, typer.Option("--ids-format", help="What that file is; by its ending if not said.")
]
ShareOption = Annotated[
    float | None, typer.Option(help="Share of those classes to erase; all if not given.")
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option(help="Everything of this group (a person, an author); may be repeated."),
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
    run: RunArgument,
    ids: IdsOption = None,
    ids_file: FileOption = None,
    column: ColumnOption = None,
    ids_format: FormOption = None,
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
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Erase examples from a run's current model.

    Ends with 6 if the method came to no result that can be used: the request is then on record
    as an attempt, nobody is erased, and the same may be asked again.

    Example: curenu unlearn run --classes 0,3 --share 0.9 --method curenu --set max_steps=2

    Example: curenu unlearn run --groups "author 3" --groups "author 7"

    Example: curenu unlearn run --ids-file people.csv --column customer --request letter-17
    """
    from curenu.cli.selection import selected

    check_request_name(request)
    session = opened(run, task, trust)
    chosen = build_method(method, settings or [])
    known = session.record_of(request)
    number = session.number_of(request)
    given: tuple[object, ...] = (ids, ids_file, classes, groups, random)
    ways = dict(zip(_WAYS, given, strict=True))
    forget = selected(session, number, ways, share=share, column=column, form=ids_format)
    how = {"seed": seed, "request": request, "only": only, "anchor": anchor.value}
    if known is None:
        _tell_plan(session.prepare(forget, chosen, **how), dry_run, as_json)
        if dry_run:
            return
    every = 1 if check_drift else check_every
    with progress_bar(f"erasing by {method}") as progress:
        result = session.unlearn(
            forget, chosen, **how, accept=accept, check_drift=every, progress=progress
        )
    settle()
    _answer(run, session, result, as_json)


def _answer(run: Path, session: Session, result: SessionResult, as_json: bool) -> None:
    """What came of the request; ends with `NOT_GRANTED` if it was recorded as an attempt."""
    from curenu.cli.record import print_record, repeated_text

    record, retraining = result.record, session.retraining
    if result.repeated:
        note(repeated_text(record, session.current))
    print_record(record, result.head, as_json)
    if not record.retrained and record.seconds > retraining > 0:
        from curenu.compare import cheaper

        note(cheaper(record.seconds, retraining))
    if not record.granted:
        again = f"curenu retrain {shlex.quote(str(run))} --without {record.number}"
        note(f"next: another method or setting, or `{again}`")
        raise typer.Exit(NOT_GRANTED)


def _tell_plan(asked: Request, dry_run: bool, as_json: bool) -> None:
    """What the request will take: the result of a dry run, else a note."""
    from curenu.cli.record import plan_text, print_plan
    from curenu.compare import estimate

    needed = estimate(asked.risk, asked.method.plan(asked.problem))
    if dry_run:
        print_plan(asked, needed, as_json)
    else:
        note(plan_text(asked, needed))
