"""What the commands of the desk share: which desk, who acts, and the check that it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curenu.cli.console import print_json, say, settle
from curenu.errors import MissingData

if TYPE_CHECKING:
    from curenu.desk.home import Desk

__all__ = ["ByOption", "DeskOption", "JsonOption", "answer", "needed", "opened_desk", "shown"]

_PACKAGES = ("sqlalchemy", "alembic", "dbos", "cryptography", "securesystemslib", "holidays")

DeskOption = Annotated[
    Path, typer.Option("--desk", envvar="CURENU_DESK", help="The desk's folder.")
]
ByOption = Annotated[str, typer.Option("--by", help="Who does this: a short name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


def needed() -> None:
    """Raise `MissingData` where the desk's packages are not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingData(
            f"The desk needs packages that are not installed: {', '.join(missing)}.",
            'pip install "curenu[desk]".',
        )


def opened_desk(folder: Path) -> Desk:
    """The desk in `folder`."""
    needed()
    from curenu.desk.home import Desk

    return Desk.open(folder)


def answer(content: Any, *lines: str, as_json: bool) -> None:
    """What a command that has done its work says: `content` with `--json`, else the lines."""
    settle()
    if as_json:
        print_json(content)
        return
    for line in lines:
        say(line)


def shown(row: Any) -> dict[str, Any]:
    """A row of the database as JSON can hold it."""
    plain = (int, float, str, type(None))
    return {k: v if isinstance(v, plain) else str(v) for k, v in row._mapping.items()}
