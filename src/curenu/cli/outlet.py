"""Streams that take any text and never fail: what cannot be shown must not undo what was done."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["Outlet", "fits", "outlet", "readable"]

_SIGNS = {
    "±": "+-", "–": "-", "−": "-", "…": "...", "÷": "/", "·": "*", "²": "^2", "³": "^3",
    "∞": "inf", "∇": "grad", "λ": "lambda", "γ": "gamma", "θ": "theta", "Σ": "sum", "√": "sqrt",
    "█": "#", "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->",
}  # fmt: skip
_HARMLESS = "\n\t"


def readable(text: str, encoding: str | None) -> str:
    """`text` as a terminal of that encoding can show it, in one line's worth of characters.

    Signs of ours get words; anything else that the encoding lacks, and characters that steer
    a terminal, are written as escapes, so that a name stays exact.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in _HARMLESS else _escaped(c) for c in text)
    return text if fits(text, encoding) else _each(text, encoding)


def fits(text: str, encoding: str | None) -> bool:
    """Whether the encoding has every character of `text`."""
    try:
        text.encode(_known(encoding))
    except UnicodeEncodeError:
        return False
    return True


class Outlet(io.TextIOBase):
    """A text stream that writes what it can; `failure` is why it stopped, if it did.

    A stream that is closed or full takes nothing more, and nothing is raised: neither here nor
    when the interpreter flushes it at its end.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: str | None = None if stream is not None else "it is closed"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream; of nothing, UTF-8."""
        return _known(getattr(self._stream, "encoding", None))

    @property
    def gone(self) -> bool:
        """Whether the reader has left on purpose, as `head` does."""
        return self.failure == os.strerror(errno.EPIPE)

    def writable(self) -> bool:
        """Always, for it never fails."""
        return True

    def isatty(self) -> bool:
        """Whether a person sees it."""
        return self.failure is None and self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor behind it; `OSError` where there is none."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write `text`, with what the encoding lacks replaced; the length of `text`."""
        if self.failure is None and self._stream is not None:
            shown = text if fits(text, self.encoding) else _each(text, self.encoding)
            try:
                self._stream.write(shown)
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self.failure is None and self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Send what is still buffered to nowhere, or the interpreter fails on it as it ends."""
        self.failure = getattr(error, "strerror", None) or "it is closed"
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def outlet(*, stderr: bool) -> Outlet:
    """The standard stream as one that never fails, the same one at every call."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, Outlet):
        return stream
    made = Outlet(stream)
    if stderr:
        sys.stderr = made
    else:
        sys.stdout = made
    return made


def _each(text: str, encoding: str | None) -> str:
    return "".join(c if fits(c, encoding) else _SIGNS.get(c) or _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if ord(character) < 128:
        return f"\\x{ord(character):02x}"
    return character.encode("ascii", "backslashreplace").decode()


def _known(encoding: str | None) -> str:
    """The codec of that name; ASCII for one that Python does not have."""
    try:
        return codecs.lookup(encoding or "utf-8").name
    except LookupError:
        return "ascii"
