"""Where a task's files and options are found, or the error that says how to get them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from curenu.errors import BadRequest, MissingData

__all__ = ["DataFiles", "check_count", "choose", "shared"]

Value = TypeVar("Value")

_CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class DataFiles:
    """The files of a data set: named by the user, or where a package puts them.

    `names` are the files a folder must have, `variable` the environment variable that names
    one, `package` a module and the folder inside it, `places` other folders. `remedy` says
    what to install.
    """

    title: str
    names: Sequence[str]
    variable: str
    remedy: str
    package: tuple[str, str] | None = None
    places: Sequence[Path] = ()

    def find(self, folder: str | None = None) -> Path:
        """The first folder with all files; one that is named by the user is the only one.

        A package is found by its path and never imported. Raises `MissingData`.
        """
        named = folder or os.environ.get(self.variable)
        places = [Path(named)] if named else [*self.places, *self._installed()]
        for place in places:
            if all((place / name).is_file() for name in self.names):
                return place
        looked = f" in {', '.join(map(str, places))}" if places else ""
        raise MissingData(
            f"{self.title} was not found{looked}.",
            f"{self.remedy}, or a folder with {', '.join(self.names)} named by `folder=` or "
            f"{self.variable}.",
        )

    def _installed(self) -> list[Path]:
        if self.package is None:
            return []
        module, inside = self.package
        spec = importlib.util.find_spec(module)
        return [Path(root) / inside for root in (spec and spec.submodule_search_locations) or ()]


def shared(name: str) -> tuple[Path, ...]:
    """`../shared/data/name`, beside the current folder or beside a checkout."""
    beside = Path("../shared/data") / name
    return (beside, _CHECKOUT / beside)


def check_count(name: str, count: int | None, most: int) -> None:
    """Raise `BadRequest` unless `count` is None or from 1 to `most`."""
    if count is not None and not 1 <= count <= most:
        raise BadRequest(f"{name}={count}.", f"a number from 1 to {most}.")


def choose(option: str, word: str, known: Mapping[str, Value]) -> Value:
    """What `word` stands for; `BadRequest` with all words for one that is not known."""
    if word not in known:
        raise BadRequest(f"{option}={word!r}.", f"one of {', '.join(known)}.")
    return known[word]
