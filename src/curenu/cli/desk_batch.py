"""`curenu desk batch`, `run`, `release`, `report` and `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import note, print_json, say, say_table
from curenu.cli.desk_options import (
    ByOption,
    DeskOption,
    JsonOption,
    answer,
    needed,
    opened_desk,
    shown,
)
from curenu.cli.files import write_text
from curenu.errors import BadRequest

__all__ = ["batch", "release", "report", "run", "verify"]

BatchArgument = Annotated[str, typer.Argument(help="The batch's id.")]
_REJECTED = 6


def batch(
    seal: Annotated[
        str | None, typer.Option(help="Seal what is approved for this model into a batch.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who seals.")] = "rule",
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Show batches with their measures beside the bar, or seal one.

    Example: curenu desk batch --seal digits --by bea
    """
    here = opened_desk(desk)
    from curenu.desk.looking import batches, measures
    from curenu.desk.queue import seal as seal_now

    if seal is not None:
        made = seal_now(here, seal, by)
        answer({"batch": made}, made, as_json=as_json)
        return
    rows = [shown(row) | {"measures": measures(here, row.id)} for row in batches(here)]
    if as_json:
        print_json(rows)
        return
    fields = ("id", "model", "status", "way", "attempt", "why")
    table = [[str(row[field] or "") for field in fields] for row in rows]
    say_table(["batch", "model", "status", "way", "attempt", "why"], table, names=True)
    for row in rows:
        for one in row["measures"]:
            bar = f"{one['low']} … {one['high']}"
            said = "passed" if one["passed"] else "NOT PASSED"
            say(f"{row['id'][:8]} {one['name']}: {one['value']:.3g} (bar {bar}) {said}")


def run(
    batch: Annotated[
        str | None, typer.Argument(help="A batch; all that are due without it.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--retrain", help="Train anew without a rejected batch's examples.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="Who has it retrained.")] = "operator",
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Run a batch here and now: erase, measure, hold against the bar.

    Ends with 6 if the result did not pass: it cannot be released, and retraining is next.

    Example: curenu desk run BATCH
    """
    here = opened_desk(desk)
    from curenu.desk.looking import runnable
    from curenu.desk.queue import retrain, seal_due
    from curenu.desk.running import run_batch

    if again:
        if batch is None:
            raise BadRequest("No batch is named.", "the id of the rejected batch.")
        retrain(here, batch, by)
    seal_due(here)
    done = {}
    for name in [batch] if batch else runnable(here):
        done[name] = run_batch(here, name)
        if not as_json:
            say(f"{name}: {done[name]}")
    rows = [{"batch": name, "status": status} for name, status in done.items()]
    answer(rows, as_json=as_json)
    if not done:
        note("nothing is due")
    if "rejected" in done.values():
        note("next: curenu desk run BATCH --retrain")
        raise typer.Exit(_REJECTED)


def release(
    batch: BatchArgument,
    by: ByOption,
    reject: Annotated[bool, typer.Option("--reject", help="Turn the result down instead.")] = False,
    recipients: Annotated[
        list[str] | None, typer.Option("--recipient", help="Who gets them; may be repeated.")
    ] = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Release what a batch came to: the weights that are to be served from now on.

    Example: curenu desk release BATCH --by bea --recipient serving
    """
    here = opened_desk(desk)
    from curenu.desk.looking import weights_of
    from curenu.desk.releasing import reject as turn_down
    from curenu.desk.releasing import release as put_out

    if reject:
        turn_down(here, batch, by)
        answer({"batch": batch, "status": "rejected"}, f"{batch}: rejected", as_json=as_json)
        return

    digest = put_out(here, batch, by, recipients or ())
    serve = str(weights_of(here, digest))
    content = {"batch": batch, "status": "released", "weights": digest, "serve": serve}
    answer(content, f"serve {serve}", as_json=as_json)
    note(f"copy {here.folder / 'heads'} and {here.folder / 'replay'} to another machine")


def report(
    batch: BatchArgument,
    out: Annotated[Path | None, typer.Option(help="Where the report goes.")] = None,
    html: Annotated[bool, typer.Option("--html", help="As a page for people.")] = False,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Write the signed report of a released batch, or its page; nobody is named in it.

    The page says what the signed report says, and is itself not signed.

    Example: curenu desk report BATCH --html --out report.html
    """
    here = opened_desk(desk)
    from curenu.desk.releasing import report as signed

    content = signed(here, batch)
    if html:
        content = _page(here.keys.root, content)
    place = out or here.folder / "reports" / f"{batch}.{'html' if html else 'json'}"
    write_text(place, content.decode())
    answer({"batch": batch, "report": str(place)}, str(place), as_json=as_json)


def _page(root: str, content: bytes) -> bytes:
    """The page of a report that holds."""
    from datetime import UTC, datetime

    from curenu.desk.report_page import report_page
    from curenu.desk.statement import verify_report

    return report_page(verify_report(content, root, datetime.now(UTC))).encode()


def verify(
    file: Annotated[Path, typer.Argument(help="A report.")],
    root: Annotated[str, typer.Option(help="The id of the desk's root key, as `init` said it.")],
    as_json: JsonOption = False,
) -> None:
    """Verify a report: its signatures, its place in the log, its form. No desk is needed.

    Example: curenu desk verify report.json --root ROOT-KEY-ID
    """
    needed()
    from datetime import UTC, datetime

    from curenu.desk.statement import verify_report

    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"Cannot read {file}: {error.strerror}.", "a report's file.") from None
    statement = verify_report(content, root, datetime.now(UTC))
    if as_json:
        print_json(statement)
        return
    subject = statement["subject"][0]
    said = statement["predicate"]
    say(f"It holds: {subject['name']}, weights {subject['digest']['sha256']}")
    say(f"{said['outcome']} on {said['decided']}; {json.dumps(said['done']['results'])}")
