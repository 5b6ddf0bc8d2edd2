"""`curenu --version`."""

from __future__ import annotations

import typer

from curenu import __version__
from curenu.cli.console import say

__all__ = ["version"]


def version(wanted: bool) -> None:
    """Print the version and end, if it is wanted."""
    if wanted:
        say(f"curenu {__version__}")
        raise typer.Exit
