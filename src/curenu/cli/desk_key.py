"""`curenu desk key`: the signing keys are listed, made, replaced, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curenu.cli.console import note
from curenu.cli.desk_options import DeskOption, JsonOption, answer, opened_desk

if TYPE_CHECKING:
    from curenu.desk.keys import Keys

__all__ = ["key"]

key = typer.Typer(name="key", no_args_is_help=True, help="The desk's signing keys.")


class Use(StrEnum):
    """What a key signs."""

    STATEMENT = "statement"
    LOG = "log"


UseArgument = Annotated[Use, typer.Argument(help="Reports and weights, or heads of the log.")]
DaysOption = Annotated[int, typer.Option(min=1, max=3650, help="For how long the key is valid.")]
RootOption = Annotated[
    Path | None, typer.Option("--root", help="The folder with the root key, if it is elsewhere.")
]
_PUBLISH = "publish the new key list: reports that are made from now on carry it"


@key.command("list")
def listed(desk: DeskOption = Path("desk"), as_json: JsonOption = False) -> None:
    """Show all keys there ever were, what they sign, and from when to when.

    Example: curenu desk key list
    """
    known = _keys(desk, None).unverified_list()
    rows = [one.model_dump(mode="json", exclude={"public"}) for one in known.keys]
    lines = [
        f"{row['id']} {row['use']}: {row['not_before']} to {row['not_after']}"
        + (f", revoked {row['revoked']}" if row["revoked"] else "")
        for row in rows
    ]
    expires = known.model_dump(mode="json")["expires"]
    content = {"number": known.number, "expires": expires, "keys": rows}
    answer(content, *lines, f"list {known.number}, to be renewed by {expires}", as_json=as_json)


@key.command()
def new(
    use: UseArgument,
    days: DaysOption = 365,
    root: RootOption = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Make another key beside those there are; the newest one signs.

    Example: curenu desk key new statement --root /mnt/usb/keys
    """
    made = _keys(desk, root).new(use.value, datetime.now(UTC), timedelta(days=days))
    _made(made, as_json)


@key.command()
def rotate(
    use: UseArgument,
    overlap: Annotated[
        int, typer.Option(min=0, max=365, help="Days for which the older keys stay valid.")
    ] = 7,
    days: DaysOption = 365,
    root: RootOption = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Replace the keys of one use: a new one, and the older ones end.

    Example: curenu desk key rotate log --overlap 7
    """
    ends, life = timedelta(days=overlap), timedelta(days=days)
    made = _keys(desk, root).rotate(use.value, datetime.now(UTC), ends, life)
    _made(made, as_json)


@key.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="ID", help="The key's id: `key list`.")],
    root: RootOption = None,
    desk: DeskOption = Path("desk"),
    as_json: JsonOption = False,
) -> None:
    """Revoke a key for good: what it signed, at any time, holds no more.

    Make a new key first if no other of its use is valid. `report` then signs a true report anew.

    Example: curenu desk key revoke 5f2c…
    """
    keys = _keys(desk, root)
    keys.revoke(name, datetime.now(UTC))
    answer({"id": name, "revoked": True}, f"{name}: revoked", as_json=as_json)
    note(_PUBLISH + "; then `curenu desk report` again for each report that it signed")


@key.command()
def renew(
    root: RootOption = None, desk: DeskOption = Path("desk"), as_json: JsonOption = False
) -> None:
    """Issue the key list anew; without it reports hold no longer than 90 days.

    Example: curenu desk key renew --root /mnt/usb/keys
    """
    keys = _keys(desk, root)
    keys.renew(datetime.now(UTC))
    told = keys.unverified_list().model_dump(mode="json")
    content = {"number": told["number"], "expires": told["expires"]}
    answer(content, f"list {told['number']}, to be renewed by {told['expires']}", as_json=as_json)


def _keys(desk: Path, root: Path | None) -> Keys:
    here = opened_desk(desk)
    from curenu.desk.keys import Keys

    here.close()
    return Keys.open(here.folder / "keys", root)


def _made(made: Any, as_json: bool) -> None:
    row = made.model_dump(mode="json", exclude={"public", "revoked"})
    answer(row, f"{row['id']}: {row['use']}, until {row['not_after']}", as_json=as_json)
    note(_PUBLISH)
