"""`curenu desk init`, `register`, `intake`, `list` and `show`."""

from __future__ import annotations

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
from curenu.errors import BadRequest

__all__ = ["init", "intake", "listed", "register", "show"]


def init(
    desk: DeskOption = Path("desk"),
    database: Annotated[
        str | None, typer.Option(help="postgresql://…; a file in the desk's folder without it.")
    ] = None,
    origin: Annotated[
        str, typer.Option(help="The name of the desk's log: a URL without https://.")
    ] = "desk.local/log",
    as_json: JsonOption = False,
) -> None:
    """Make a desk: its database, its vault key and its signing keys.

    Example: curenu desk init --desk desk --origin desk.example.org/log
    """
    needed()
    from curenu.desk.home import Desk

    made = Desk.create(desk, database, origin)
    content = {"desk": str(desk), "root": made.keys.root}
    answer(content, f"A desk in {desk}; its root key is {made.keys.root}.", as_json=as_json)
    note(f"keep away from this machine: {desk / 'vault.key'} and a copy of {desk / 'keys'}")


def register(
    model: Annotated[str, typer.Argument(help="The model's name at the desk.")],
    run: Annotated[Path, typer.Argument(help="The run folder: `curenu train` or `curenu adopt`.")],
    policy: Annotated[
        Path | None, typer.Option(help="JSON: method, settings, bars, when batches are sealed.")
    ] = None,
    recipients: Annotated[
        list[str] | None, typer.Option("--recipient", help="Who has the weights; may be repeated.")
    ] = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Put a trained model under the desk. A model of elsewhere enters by `curenu adopt` first.

    Example: curenu desk register digits run --recipient serving --policy policy.json
    """
    here = opened_desk(desk)
    from pydantic import ValidationError

    from curenu.desk.models import register as put
    from curenu.desk.policy import Policy

    try:
        rules = Policy() if policy is None else Policy.model_validate_json(policy.read_bytes())
    except OSError as error:
        raise BadRequest(f"Cannot read {policy}: {error.strerror}.", "a file of JSON.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BadRequest(
            f"{policy}, {place}: {first['msg']}.", "the fields of docs/desk.md."
        ) from None
    digest = put(here, model, run, rules, recipients or ())
    answer({"model": model, "weights": digest}, f"{model}: {digest}", as_json=as_json)


def intake(
    models: Annotated[list[str], typer.Option("--model", help="A model; may be repeated.")],
    identity: Annotated[str, typer.Option(help="Whom it is about; kept encrypted.")],
    by: ByOption,
    ids: Annotated[list[str] | None, typer.Option("--ids", help="An example's id.")] = None,
    ids_file: Annotated[
        Path | None, typer.Option(help="One id a line; or .csv of one column, .json, .jsonl.")
    ] = None,
    request: Annotated[
        str | None, typer.Option(help="A UUIDv4 of the sender; a new one without it.")
    ] = None,
    regime: Annotated[str, typer.Option(help="gdpr or ccpa.")] = "gdpr",
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Take in a request. The same request again is success, and no second one.

    Example: curenu desk intake --model digits --identity ann@example.org --ids 4 --by anna
    """
    here = opened_desk(desk)
    import uuid

    from curenu.cli.ids import asked_in_file
    from curenu.desk.requests import intake as take_in

    name = request or str(uuid.uuid4())
    in_file = asked_in_file(ids_file, None, None).entries.words if ids_file else ()
    wanted = [*(ids or ()), *in_file]
    status = take_in(
        here, name, identity=identity, ids=wanted, models=models, by=by, regime=regime
    )  # fmt: skip
    answer({"request": name, "status": status}, f"{name}: {status}", as_json=as_json)


def listed(desk: DeskOption = Path("desk"), as_json: JsonOption = False) -> None:
    """Show requests, what is due first.

    Example: curenu desk list --json
    """
    here = opened_desk(desk)
    from curenu.desk.looking import due_requests

    rows = [shown(row) for row in due_requests(here)]
    if as_json:
        print_json(rows)
        return
    fields = ("id", "status", "due", "count", "regime", "submitter")
    say_table(
        ["request", "status", "due", "examples", "law", "submitted by"],
        [[str(row[field]) for field in fields] for row in rows],
        names=True,
    )


def show(
    request: Annotated[str, typer.Argument(help="The request's id.")],
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Show one request's story: status, decisions, and what became of it on each model.

    Example: curenu desk show REQUEST
    """
    here = opened_desk(desk)
    from curenu.desk.looking import story

    told = story(here, request)
    if as_json:
        print_json(told)
        return
    row = told["request"]
    say(f"{row['id']}: {row['status']}, {row['count']} examples, due {row['due']}")
    say_table(
        ["when (UTC)", "what", "by", ""],
        [[d["time"], d["kind"], d["by"], d["detail"] or ""] for d in told["decisions"]],
    )
    for target in told["targets"]:
        say(f"{target['model']}: {target['state']}")
