"""Code that the caller gave, run so that what goes wrong in it says whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from curenu.errors import CurenuError, UserCodeFailed

__all__ = ["among", "calling", "said"]

_SHOWN = 4  # examples that are named


@contextmanager
def calling(part: str, ids: Iterable[Any] | None = None) -> Iterator[None]:
    """Around a call of the caller's `part`: whatever it raises becomes a `UserCodeFailed`.

    The error names the part, the examples at `ids` that it was called for where they are known,
    and what was raised, which is its `__cause__`. Errors of this package pass as they are.
    """
    try:
        yield
    except CurenuError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        where = "" if ids is None else f" on {among(ids)}"
        raise UserCodeFailed(f"{part} failed{where}: {said(error)}", _remedy(error)) from error


def said(error: BaseException) -> str:
    """The kind of an error and its first line; of a loader's worker what was raised in it."""
    kind = type(error).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return f"{kind}."
    inside = [line.partition(f"{kind}: ")[2] for line in lines if f"{kind}: " in line]
    line = inside[0] if inside and lines[0].startswith("Caught ") else lines[0]
    return f"{kind}: {line.rstrip('.')}."


def among(ids: Iterable[Any]) -> str:
    """A few examples by their positions, and how many others."""
    listed: list[Any] = [int(one) for one in ids]
    if len(listed) == 1:
        return f"example {listed[0]}"
    shown = ", ".join(map(str, listed[:_SHOWN]))
    more = len(listed) - _SHOWN
    return f"examples {shown}" + (f" and {more} more" if more > 0 else "")


def _remedy(error: BaseException) -> str:
    memory = isinstance(error, MemoryError) or any(
        word in str(error) for word in ("out of memory", "allocate memory")
    )
    if memory:
        return "a smaller `micro_batch_size=`."
    return "mending it: its own error is the cause of this one."
