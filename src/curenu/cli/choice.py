"""From words on the command line to methods, tasks and ids."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from curenu.arguments import split_settings
from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.method_choice import make_method
from curenu.methods import METHODS
from curenu.tasks import TASKS

__all__ = [
    "build_method",
    "complete_method",
    "complete_task",
    "read_ids",
    "words_in",
    "words_of",
]


def complete_method(incomplete: str) -> list[str]:
    """Names of methods that begin so."""
    return [name for name in METHODS if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """Names of built-in tasks that begin so."""
    return [name for name in TASKS if name.startswith(incomplete)]


def build_method(name: str, settings: Iterable[str]) -> Method:
    """The method of that name with `name=value` settings.

    Raises `BadRequest` for a setting that is none, and as `make_method` does.
    """
    return make_method(name, split_settings("--set", settings))


def read_ids(words: Iterable[str], named: Iterable[Any] | None) -> list[Any]:
    """Ids as the task has them: its own names, or positions where it has none.

    A word that is neither stays as it is, for the request's own check to refuse.
    """
    if named is None:
        return [int(word) if word.lstrip("-").isdecimal() else word for word in words]
    known = {str(name): name for name in named}
    return [known.get(word, word) for word in words]


def words_of(text: str) -> list[str]:
    """Ids separated by commas or white space."""
    return text.replace(",", " ").split()


def words_in(path: Path) -> list[str]:
    """Ids of a text file, separated by commas or white space."""
    try:
        return words_of(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"Cannot read ids from {path}: {error}.", "a text file of ids.") from error
