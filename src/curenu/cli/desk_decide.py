"""`curenu desk approve`, `deny`, `extend`, `hold` and `shred`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curenu.cli.console import say, settle
from curenu.cli.desk_options import ByOption, DeskOption, opened_desk

__all__ = ["approve", "deny", "extend", "hold", "shred"]

RequestArgument = Annotated[str, typer.Argument(help="The request's id.")]


def approve(request: RequestArgument, by: ByOption, desk: DeskOption = Path("desk")) -> None:
    """Approve a request; who submitted it cannot."""
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.approve(here, request, by)
    settle()
    say(f"{request}: approved")


def deny(
    request: RequestArgument,
    by: ByOption,
    reason: Annotated[str, typer.Option(help="One of the Data Rights Protocol, as no_match.")],
    ground: Annotated[
        str | None, typer.Option(help="The letter of GDPR Art. 17(3) on which it is kept.")
    ] = None,
    desk: DeskOption = Path("desk"),
) -> None:
    """Deny a request, for a reason."""
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.deny(here, request, by, reason, ground)
    settle()
    say(f"{request}: denied, {reason}")


def extend(request: RequestArgument, by: ByOption, desk: DeskOption = Path("desk")) -> None:
    """Take the longer deadline; the person must be told before the first is over."""
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.extend(here, request, by)
    settle()
    say(f"{request}: extended; tell the person today, and why")


def hold(
    request: RequestArgument,
    by: ByOption,
    lift: Annotated[bool, typer.Option("--lift", help="Lift what was placed.")] = False,
    desk: DeskOption = Path("desk"),
) -> None:
    """Stop a request, and the batch that it is in, also while that runs."""
    here = opened_desk(desk)
    from curenu.desk import requests

    (requests.lift if lift else requests.place_hold)(here, request, by)
    settle()
    say(f"{request}: {'the hold is lifted' if lift else 'on hold'}")


def shred(request: RequestArgument, by: ByOption, desk: DeskOption = Path("desk")) -> None:
    """Delete whom a request that has ended was about.

    Only once no backup from before the erasure is left: it could not be brought up again.
    """
    here = opened_desk(desk)
    from curenu.desk import requests

    requests.shred(here, request, by)
    settle()
    say(f"{request}: shredded")
