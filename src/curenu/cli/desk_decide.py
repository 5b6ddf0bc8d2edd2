"""`curenu desk approve`, `deny`, `extend`, `hold` and `shred`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.desk_options import ByOption, DeskOption, JsonOption, answer, opened_desk

__all__ = ["approve", "deny", "extend", "hold", "shred"]

RequestArgument = Annotated[str, typer.Argument(help="The request's id.")]


def approve(
    request: RequestArgument,
    by: ByOption,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Approve a request; who submitted it cannot.

    Example: curenu desk approve REQUEST --by bea
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.approve(here, request, by)
    _decided(request, "approved", "approved", as_json)


def deny(
    request: RequestArgument,
    by: ByOption,
    reason: Annotated[str, typer.Option(help="One of the Data Rights Protocol, as no_match.")],
    ground: Annotated[
        str | None, typer.Option(help="The letter of GDPR Art. 17(3) on which it is kept.")
    ] = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Deny a request, for a reason.

    Example: curenu desk deny REQUEST --by bea --reason no_match
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.deny(here, request, by, reason, ground)
    _decided(request, "denied", f"denied, {reason}", as_json)


def extend(
    request: RequestArgument,
    by: ByOption,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Take the longer deadline; the person must be told before the first is over.

    Example: curenu desk extend REQUEST --by bea
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.extend(here, request, by)
    _decided(request, "extended", "extended; tell the person today, and why", as_json)


def hold(
    request: RequestArgument,
    by: ByOption,
    lift: Annotated[bool, typer.Option("--lift", help="Lift what was placed.")] = False,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Stop a request, and the batch that it is in, also while that runs.

    Example: curenu desk hold REQUEST --by carl
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    (requests.lift if lift else requests.place_hold)(here, request, by)
    _decided(
        request, "lifted" if lift else "held", "the hold is lifted" if lift else "on hold", as_json
    )


def shred(
    request: RequestArgument,
    by: ByOption,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Delete whom a request that has ended was about.

    Only once no backup from before the erasure is left: it could not be brought up again.

    Example: curenu desk shred REQUEST --by bea
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.shred(here, request, by)
    _decided(request, "shredded", "shredded", as_json)


def _decided(request: str, done: str, words: str, as_json: bool) -> None:
    answer({"request": request, "done": done}, f"{request}: {words}", as_json=as_json)
