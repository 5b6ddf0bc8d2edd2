"""Where a task comes from, with a hash of all its code."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path

from curenu import tasks
from curenu.errors import BadRequest
from curenu.networks.content import content_digest, own_source
from curenu.tasks import TASKS, Task
from curenu.user_file import is_reference, sources_of
from curenu.version import __version__

__all__ = ["FILE", "PACKAGE", "source_of"]

PACKAGE = "curenu "
"""How the source of a built-in task begins."""

FILE = "file "
"""How that of a user's begins."""


def source_of(task: Task, reference: str | None = None) -> str:
    """Where a task comes from, with a hash.

    A user's file: that of the file and of the modules beside it that it imported so far, as
    they were when they were run; `BadRequest` if it was not run in this process. A built-in
    one: the package's version, and the hash of the task's module and of every module of
    `curenu.tasks` that it imports, read once in a process. An object: the source of its
    `build` and of the network's classes, as far as Python has it.
    """
    if reference is not None and is_reference(reference):
        return f"{FILE}{_hash(json.dumps(_files(reference), sort_keys=True))}"
    if reference is not None and reference in TASKS:
        folder = Path(inspect.getfile(tasks)).parent
        return f"{PACKAGE}{__version__} {_built_in(TASKS[reference].__module__, folder)}"
    classes = {type(module) for module in task.initialise(0).modules()}
    texts = sorted(own_source(thing) for thing in (task.build, *classes))
    return f"object {_hash(json.dumps(texts))}"


@lru_cache(maxsize=64)
def _built_in(module: str, folder: Path) -> str:
    """One hash of the texts of `module` and of all that it imports, directly or not."""
    texts = _texts(module, folder)
    return content_digest(part for name in sorted(texts) for part in (name, texts[name]))


def _texts(module: str, folder: Path) -> dict[str, str]:
    """`module` and the modules of `curenu.tasks`, in `folder`, that it imports, by name.

    What the rest of the package does is named by its version.
    """
    texts: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _place(name, folder)
        if file is None or name in texts:
            continue
        texts[name] = file.read_text(encoding="utf-8")
        package = name if file.stem == "__init__" else name.rpartition(".")[0]
        waiting += _imported(texts[name], package)
    return texts


def _imported(text: str, package: str) -> Iterator[str]:
    """Names that a module in `package` imports anywhere; some are of no module but in one."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _place(module: str, folder: Path) -> Path | None:
    """The file of a module of `curenu.tasks`; None for any other name."""
    own, parts = tasks.__name__.split("."), module.split(".")
    if parts[: len(own)] != own:
        return None
    base = folder.joinpath(*parts[len(own) :])
    places = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((place for place in places if place.is_file()), None)


def _files(reference: str) -> dict[str, str]:
    """Hashes of a user's file, under no name, and of its siblings by their path from there."""
    main = Path(reference.rpartition(":")[0]).resolve()
    found = sources_of(reference)
    if main not in found:
        raise BadRequest(f"{main} was not run here.", "loading the task by that file.")
    return {
        "" if path == main else path.relative_to(main.parent).as_posix(): digest
        for path, digest in found.items()
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
