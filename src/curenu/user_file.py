"""Functions of a user's own file, named as `path/to/file.py:function`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curenu.errors import BadRequest, CurenuError

__all__ = ["function_of", "is_reference"]


def is_reference(name: str) -> bool:
    """Whether `name` has the form `file.py:function`."""
    return bool(name.rpartition(":")[0])


def function_of(reference: str) -> Callable[..., Any]:
    """The function that `file.py:function` names; the file is run.

    Raises `BadRequest` for a file or function that is not there, or that fails to import.
    """
    path, _, function = reference.rpartition(":")
    if not Path(path).is_file():
        raise BadRequest(f"There is no file {path}.", "the path of a Python file.")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{path} is no Python file.", "a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except CurenuError:
        raise
    except Exception as error:
        raise BadRequest(
            f"{path} cannot be imported: {type(error).__name__}: {error}.", "mending the file."
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise BadRequest(f"{path} has no function {function!r}.", "the name of one it has.")
    return found
