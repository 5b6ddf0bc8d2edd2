"""How examples and groups are called in text: each by the exact text of its id, and no other."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from itertools import islice
from typing import Any

from curenu.errors import BadRequest

__all__ = ["Names", "check_request_name", "names_of"]

_POSITION = re.compile("0|[1-9][0-9]*", re.ASCII)


class Names:
    """The texts by which a request may name things, and what each stands for.

    The text of an id is `str(id)`, compared character for character: nothing is stripped,
    split, folded or read as a number, so "04", "4 " and "4.0" are not the id 4. Without ids,
    things are called by their positions 0 to `size` - 1 in plain decimal digits.

    Raises `BadRequest` for ids that text cannot tell apart, such as 1 and "1", for two that
    are equal, for one that cannot be hashed and for one with half a character (a surrogate).
    """

    def __init__(self, ids: Iterable[Any] | None, size: int, what: str = "id") -> None:
        self.size, self.what = size, what
        self.named = ids is not None
        self._places = {} if ids is None else _places(_listed(ids), what)

    def place(self, text: str) -> int | None:
        """Which of the things `text` names; None if it names none."""
        if self.named:
            return self._places.get(text)
        plain = len(text) <= len(str(self.size)) and _POSITION.fullmatch(text)
        return int(text) if plain and int(text) < self.size else None

    def texts(self) -> Iterable[str]:
        """All texts, in the order of what they name."""
        return self._places if self.named else map(str, range(self.size))

    def described(self) -> str:
        """What to write, in words: the range of positions, or a few of the names."""
        if not self.named:
            return f"the numbers 0 to {self.size - 1}"
        few = ", ".join(map(repr, islice(self._places, 3)))
        return f"{self.what}s as the task has them, such as {few}"


def names_of(ids: Sequence[Hashable] | None, size: int) -> Names:
    """How the `size` examples with these `ids` are called; `BadRequest` as `Names` has it."""
    names = Names(ids, size)
    if ids is not None and len(ids) != size:
        raise BadRequest(f"{len(ids)} ids for {size} examples.", "one id per example.")
    return names


def check_request_name(name: str | None) -> None:
    """Raise `BadRequest` for a name of a request that is empty, blank or no text."""
    if name is None:
        return
    if not name.strip():
        raise BadRequest(
            "The request's name is empty.", "a name, or none at all: one is then made up."
        )
    if _broken(name):
        raise BadRequest(
            f"The request's name {name!r} holds half a character.", "a name in whole characters."
        )


def _listed(ids: Iterable[Any]) -> list[Any]:
    """Ids one by one; those of an array as the numbers it holds."""
    return ids.tolist() if hasattr(ids, "tolist") else list(ids)  # type: ignore[attr-defined]


def _places(ids: list[Any], what: str) -> dict[str, int]:
    for place, name in enumerate(ids):
        if isinstance(name, bool) or not _hashable(name):
            raise BadRequest(
                f"The {what} {name!r} at position {place} is a {type(name).__name__}.",
                f"strings or whole numbers as {what}s.",
            )
    texts = [str(name) for name in ids]
    places = {text: place for place, text in enumerate(texts)}
    if len(places) < len(texts):
        raise _collision(ids, texts, what)
    if _broken("".join(places)):
        text = next(text for text in places if _broken(text))
        raise BadRequest(
            f"The {what} {text!r} holds half a character, which no file can.",
            f"{what}s in whole characters.",
        )
    return places


def _collision(ids: list[Any], texts: list[str], what: str) -> BadRequest:
    first: dict[str, int] = {}
    after = next(p for p, text in enumerate(texts) if first.setdefault(text, p) != p)
    before = first[texts[after]]
    if ids[before] == ids[after]:
        return BadRequest(
            f"Positions {before} and {after} share the {what} {ids[after]!r}.",
            f"{what}s that are unique.",
        )
    one, other = (f"{ids[p]!r} ({type(ids[p]).__name__})" for p in (before, after))
    return BadRequest(
        f"The {what}s {one} and {other} read the same in text, so a file or a command line "
        "cannot tell whom it means.",
        f"{what}s that differ as text: all of them numbers, or all of them strings.",
    )


def _hashable(name: Any) -> bool:
    try:
        hash(name)
    except TypeError:
        return False
    return True


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
