"""The `curenu` command: a thin skin over the library, and the only part that prints.

Modules of commands import at their top only what parsing and help need; what does the work is
imported by the command when it runs, so that `curenu --help` loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curenu.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; an interrupt at any moment ends it in one line."""
    try:
        from curenu.cli.commands import app

        app()
    except KeyboardInterrupt:
        _interrupted()


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from curenu.cli.commands import app

    return app


def _interrupted() -> None:
    """Before a command began, or while it ended: nothing is at work that needs an end."""
    import os
    import sys
    from contextlib import suppress

    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
    os._exit(130)  # what is half imported may not end in order
