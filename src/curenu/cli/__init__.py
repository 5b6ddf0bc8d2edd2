"""The `curenu` command: a thin skin over the library, and the only part that prints.

Modules of commands import at their top only what parsing and help need; what does the work is
imported by the command when it runs, so that `curenu --help` loads no torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, whose import takes long enough to be interrupted
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from curenu.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; an interrupt at any moment ends it in one line."""
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _stop)
        from curenu.cli.commands import app

        app()
    except KeyboardInterrupt:
        _interrupted()


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from curenu.cli.commands import app

    return app


def _stop(_: int, frame: FrameType | None) -> None:
    """End at once where modules are being imported, which not all of them bear; else raise.

    A run bears it as it bears being killed: what is on record is whole.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _interrupted()
        frame = frame.f_back
    raise KeyboardInterrupt


def _interrupted() -> None:
    """Say so, and leave without the interpreter's own end."""
    import os
    from contextlib import suppress

    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(130)
