"""Entries of a file of ids as its form defines them, each with the line where it begins."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curenu.errors import BadRequest

__all__ = ["Entries", "of_csv", "of_json", "of_json_lines", "of_text"]


@dataclass(frozen=True)
class Entries:
    """Texts, and of each the line it begins on (in one JSON document: its number from 1)."""

    words: Sequence[str]
    lines: Sequence[int]


def of_text(text: str) -> Entries:
    """One entry a line, as it stands; lines end in LF or CRLF, and empty ones say nothing."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if all(lines[:-1]) and not lines[-1]:
        return Entries(lines[:-1], range(1, len(lines)))
    kept = [(line, number) for number, line in enumerate(lines, 1) if line]
    return Entries([line for line, _ in kept], [number for _, number in kept])


def of_csv(text: str, source: str, column: str | None) -> Entries:
    """The values under the heading `column`; without it, all of a file of one column.

    Raises `BadRequest` for a row of another length than the first, so that no value slips
    into another column, for an unknown or doubled heading, and for quotes that do not close.
    """
    rows = list(_rows(text, source))
    if not rows:
        return Entries([], [])
    place, width = 0, len(rows[0][1])
    if column is not None:
        place = _heading(rows[0][1], column, source)
        rows = rows[1:]
    elif width > 1:
        raise BadRequest(
            f"{source} has {width} columns, and none was named.",
            f"--column and the heading of one: {', '.join(rows[0][1])}.",
        )
    for line, row in rows:
        if len(row) != width:
            raise BadRequest(
                f"{source}, line {line}: {len(row)} values, where the first line has {width}.",
                "one value a column; one that holds a comma in double quotes.",
            )
    return Entries([row[place] for _, row in rows], [line for line, _ in rows])


def of_json(text: str, source: str, column: str | None) -> Entries:
    """Strings and whole numbers of one JSON array, or what its objects have under `column`."""
    found = _parsed(text, source) if text.strip() else []
    if not isinstance(found, list):
        raise BadRequest(
            f"{source} holds a JSON {_kind(found)}, not an array.",
            'an array such as ["a", "b"], or --ids-format jsonl for one value a line.',
        )
    words = [_word(item, f"{source}, entry {n}", column) for n, item in enumerate(found, 1)]
    return Entries(words, range(1, len(words) + 1))


def of_json_lines(text: str, source: str, column: str | None) -> Entries:
    """A JSON string or whole number a line, or what the object there has under `column`."""
    words, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(" \t\r"):
            where = f"{source}, line {number}"
            words.append(_word(_parsed(line, where), where, column))
            lines.append(number)
    return Entries(words, lines)


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    try:
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise BadRequest(
            f"{source}, line {begin}: {error}.", "CSV as RFC 4180 has it: commas, double quotes."
        ) from error


def _heading(headings: list[str], column: str, source: str) -> int:
    if headings.count(column) == 1:
        return headings.index(column)
    if column in headings:
        raise BadRequest(f"{source} has two columns {column!r}.", "headings that differ.")
    shown = ", ".join(map(repr, headings))
    commas = "a file with commas between columns, or " if ";" in shown or "\t" in shown else ""
    raise BadRequest(f"{source} has no column {column!r}.", f"{commas}one of {shown}.")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_Whole
        )
    except (ValueError, RecursionError) as error:
        place = f", line {error.lineno}" if getattr(error, "lineno", 1) > 1 else ""  # type: ignore[attr-defined]
        why = getattr(error, "msg", None) or "it cannot be read"
        raise BadRequest(
            f"{where}{place} is no JSON: {why}.", "values as JSON writes them, strings in quotes."
        ) from error


def _word(item: Any, where: str, column: str | None) -> str:
    if isinstance(item, dict) and column is not None:
        if column not in item:
            raise BadRequest(f"{where} has no {column!r}.", f"one of {', '.join(map(repr, item))}.")
        item = item[column]
    elif column is not None or isinstance(item, dict):
        what = f"is a JSON {_kind(item)}"
        asked = "none was named by --column" if column is None else f"--column {column} was asked"
        raise BadRequest(
            f"{where} {what}, and {asked}.", "--column for objects; strings without it."
        )
    if not isinstance(item, str):
        raise BadRequest(f"{where} is a JSON {_kind(item)}.", "a string or a whole number.")
    return str(item)


def _kind(item: Any) -> str:
    named = {dict: "object", list: "array", str: "string", bool: "truth value", float: "fraction"}
    return "null" if item is None else named.get(type(item), "number")


class _Whole(str):
    """A whole number by the digits that were written, so that -0 is not 0."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _no_number(word: str) -> Any:
    raise ValueError(word)
