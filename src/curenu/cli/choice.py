"""From words on the command line to methods, tasks and classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from curenu.errors import BadRequest

if TYPE_CHECKING:
    from curenu.erasure import Method

__all__ = ["TASK_NAMES", "build_method", "classes_in", "complete_method", "complete_task"]

TASK_NAMES = ("digits", "fashion-mnist", "cifar10", "newsgroups", "adult", "movielens", "tofu")
"""The built-in tasks, named here as well so that help and completion load no data."""


def complete_method(incomplete: str) -> list[str]:
    """Names of methods that begin so."""
    from curenu.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """Names of built-in tasks that begin so."""
    return [name for name in TASK_NAMES if name.startswith(incomplete)]


def build_method(name: str, settings: Iterable[str]) -> Method:
    """The method of that name with `name=value` settings.

    Raises `BadRequest` for a setting that is none, and as `make_method` does.
    """
    from curenu.arguments import split_settings
    from curenu.method_choice import make_method

    return make_method(name, split_settings("--set", settings))


def classes_in(text: str) -> list[int]:
    """Numbers of classes, separated by commas; `BadRequest` for anything else."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", word) for word in words):
        raise BadRequest(f"--classes {text} are no classes.", "numbers such as 0,3.")
    return [int(word) for word in words]
