"""The one reader of ids: from options, text, CSV, JSON, JSON lines or standard input.

Nothing is split, stripped or guessed: an entry is an id character for character, or the request
is refused. What a text means is decided in `curenu.names`.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from curenu.cli.entries import Entries, of_csv, of_json, of_json_lines, of_text
from curenu.errors import BadRequest
from curenu.names import Names

__all__ = ["Asked", "Form", "asked_by_options", "asked_in_file", "places_of"]

_LOST = ("", "\ufeff")  # no line of a text, and the mark that text may begin with
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Form(StrEnum):
    """How a file holds ids."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


_BY_SUFFIX = {".csv": Form.CSV, ".json": Form.JSON, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL}


@dataclass(frozen=True)
class Asked:
    """Ids that were asked for as texts, each with the line or entry where it stands.

    `form` is None for ids given as options; `heading` says that the file names its column.
    """

    entries: Entries
    source: str
    form: Form | None = None
    heading: bool = False

    def where(self, *places: int) -> str:
        """Where these entries stand, in words."""
        if self.form is None:
            return f"{self.source} number " + " and ".join(str(place + 1) for place in places)
        unit = "entry" if self.form is Form.JSON else "line"
        several = {"entry": "entries", "line": "lines"}[unit] if len(places) > 1 else unit
        numbers = " and ".join(str(self.entries.lines[place]) for place in places)
        return f"{several} {numbers} of {self.source}"


def asked_by_options(flag: str, words: Sequence[str]) -> Asked:
    """One id an option, unsplit."""
    return Asked(Entries(words, range(1, len(words) + 1)), flag)


def asked_in_file(path: Path, column: str | None, form: Form | None) -> Asked:
    """Ids of a file in UTF-8 or marked UTF-16; its ending says the form unless given.

    `-` is standard input. Raises `BadRequest` for what cannot be read or is not of that form.
    """
    source = "standard input" if str(path) == "-" else str(path)
    chosen = form or _BY_SUFFIX.get(path.suffix.lower(), Form.TEXT)
    text = _decoded(_content(path, source), source)
    if chosen is Form.TEXT:
        if column is not None:
            raise BadRequest(
                f"--column {column} is for CSV and JSON, and {source} is plain text.",
                "a file that ends in .csv, .json or .jsonl, or --ids-format.",
            )
        entries = of_text(text)
    else:
        read = {Form.CSV: of_csv, Form.JSON: of_json, Form.JSONL: of_json_lines}[chosen]
        entries = read(text, source, column)
    if not entries.words:
        raise BadRequest(f"{source} holds no id: the forget set is empty.", "one id or more.")
    return Asked(entries, source, chosen, heading=column is not None)


def places_of(asked: Asked, names: Names) -> list[int]:
    """What each entry names, in order.

    Raises `BadRequest` for an id that is unknown or repeated, and where the form of the file
    cannot write some of the ids there are.
    """
    _check_writable(asked, names)
    words = asked.entries.words
    found = [names.place(word) for word in words]
    known = [place for place in found if place is not None]
    if len(known) < len(found):
        raise _unknown(asked, names, [n for n, place in enumerate(found) if place is None])
    if len(set(known)) < len(known):
        first: dict[str, int] = {}
        later = next(n for n, word in enumerate(words) if first.setdefault(word, n) != n)
        times = len(known) - len(set(known))
        raise BadRequest(
            f"{times} {names.what}s are repeated, first {words[later]!r}: "
            f"{asked.where(first[words[later]], later)}.",
            f"each {names.what} once.",
        )
    return known


def _unknown(asked: Asked, names: Names, unknown: list[int]) -> BadRequest:
    first = unknown[0]
    word = asked.entries.words[first]
    return BadRequest(
        f"{len(unknown)} of {len(asked.entries.words)} {names.what}s are unknown, first "
        f"{_short(word)}: {asked.where(first)}.",
        _advice(asked, names, unknown) + names.described() + ".",
    )


def _advice(asked: Asked, names: Names, unknown: list[int]) -> str:
    """What was probably meant, if that can be told; never acted upon."""
    place = unknown[0]
    word = asked.entries.words[place]
    if "\0" in word:
        return "saving the file as UTF-8, for it looks like UTF-16; "
    for near in (word.strip(), word.strip().strip("\"'"), _decimal(word)):
        if near != word and names.place(near) is not None:
            return f"{near!r}, written exactly so; "
    parts = [part for part in word.replace(",", " ").replace(";", " ").split() if part]
    if len(parts) > 1 and all(names.place(part) is not None for part in parts):
        if asked.form is None:
            return " ".join(f"{asked.source} {part}" for part in parts[:3]) + ": one each; "
        return f"one {names.what} a line; "
    if place == 0 and len(unknown) == 1 and asked.form in (Form.TEXT, Form.CSV):
        csv = "" if asked.form is Form.CSV else "a .csv and "
        heading = "" if asked.heading else f" (or, if it is a heading, {csv}--column {word})"
        return f"the file without line 1{heading}; "
    return ""


def _check_writable(asked: Asked, names: Names) -> None:
    """Plain text has no way to write some ids, and would be taken for others."""
    if asked.form is Form.TEXT:
        bad = next((t for t in names.texts() if t[:1] in _LOST or "\r" in t or "\n" in t), None)
    elif asked.form is Form.CSV and not asked.heading:
        bad = next((t for t in names.texts() if t[:1] == "\ufeff"), None)
    else:
        return
    if bad is not None:
        raise BadRequest(
            f"The task has the {names.what} {bad!r}, which {asked.source} cannot tell from others.",
            "JSON (.json or .jsonl), or .csv with --column.",
        )


def _content(path: Path, source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except (OSError, AttributeError) as error:
        why = getattr(error, "strerror", None) or "it is closed"
        raise BadRequest(f"Cannot read ids from {source}: {why}.", "a file of ids.") from error


def _decoded(content: bytes, source: str) -> str:
    if content.startswith(_MARKS):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            line = content[: error.start].decode("utf-16", "ignore").count("\n") + 1
            raise BadRequest(
                f"{source}, line {line}: the file begins as UTF-16, and this is none.",
                "saving it again, as UTF-8.",
            ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadRequest(
            f"{source}, line {line}: byte {content[error.start]:#04x} is not UTF-8.",
            "saving it as UTF-8: from Latin-1, `iconv -f LATIN1 -t UTF-8 OLD > NEW`.",
        ) from error


def _decimal(word: str) -> str:
    """`word` as a plain number, if it is one written otherwise: 04, +4, 4.0."""
    try:
        number = float(word)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else word
    except ValueError:
        return word


def _short(word: str) -> str:
    return repr(word) if len(word) <= 60 else f"{word[:60]!r}…"
