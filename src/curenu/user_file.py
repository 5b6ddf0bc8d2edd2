"""Functions of a user's own file, named as `path/to/file.py:function`."""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from curenu.errors import BadRequest, CurenuError

__all__ = ["function_of", "is_reference", "source_files"]

_SIBLINGS: dict[Path, dict[str, ModuleType]] = {}
"""Of every user's file that was run: the modules beside it that it imported, by name."""


def is_reference(name: str) -> bool:
    """Whether `name` has the form `file.py:function`."""
    return bool(name.rpartition(":")[0])


def function_of(reference: str) -> Callable[..., Any]:
    """The function that `file.py:function` names; the file is run.

    The file may import modules that lie beside it, when it is run and when the function is
    called: its folder is searched first, as Python does for a script, and only then. The file
    is run anew each time, and so are the modules beside it.

    Raises `BadRequest` for a file or function that is not there, or that fails to import.
    """
    name, _, function = reference.rpartition(":")
    path = Path(name)
    if not path.is_file():
        raise BadRequest(f"There is no file {path}.", "the path of a Python file.")
    if path.suffix != ".py":
        raise BadRequest(f"{path} is no Python file.", "a file that ends in .py.")
    module = _run(path.resolve(), name)
    found = getattr(module, function, None)
    if not callable(found):
        raise BadRequest(f"{path} has no function {function!r}.", "the name of one it has.")
    return _beside(path.resolve(), found)


def source_files(reference: str) -> tuple[Path, ...]:
    """The file that `file.py:function` names, then the modules beside it that it imported.

    Those are known once the file was run, and all of them once its function was called.
    """
    path = Path(reference.rpartition(":")[0]).resolve()
    modules = _SIBLINGS.get(path, {}).values()
    return (path, *sorted(file for module in modules if (file := _file(module)) is not None))


def _run(path: Path, shown: str) -> ModuleType:
    """The module of the file, registered as any other while it runs and after.

    Decorators such as `@dataclass` look for their module by its name. The name ends in a hash
    of the path, so that files of one name in two folders stay apart. The text that is run is
    the one that is there now: no compiled file is trusted.
    """
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    _forget_folder(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with _folder_first(path):
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except BaseException as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, CurenuError) or not isinstance(error, Exception):
            raise
        raise BadRequest(
            f"{shown} cannot be imported: {type(error).__name__}: {error}.", "mending the file."
        ) from error
    return module


def _beside(path: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called with the modules beside its file in reach."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _folder_first(path):
            return function(*args, **kwargs)

    return call


@contextmanager
def _folder_first(path: Path) -> Iterator[None]:
    """Search the file's folder first, and leave `sys.path` as it was.

    A module of the same name that somebody else imported is out of the way meanwhile; what the
    file imported in its place is kept for the next time, and not left under that name.
    """
    folder, own = path.parent, _SIBLINGS.setdefault(path, {})
    hidden = {n: m for n, m in sys.modules.items() if _lies_in(folder, n) and _foreign(folder, m)}
    known, compiles = set(sys.modules) - set(hidden), sys.dont_write_bytecode
    for name in hidden:
        sys.modules.pop(name)
    sys.modules.update(own)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # the user's folder stays as it is
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = compiles
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        own.update({n: sys.modules[n] for n in set(sys.modules) - known if _lies_in(folder, n)})
        taken = {name.partition(".")[0] for name in hidden}
        for name in [name for name in own if name.partition(".")[0] in taken]:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def _forget_folder(path: Path) -> None:
    """Let modules beside the file be read anew, whichever file imported them before."""
    for other, modules in _SIBLINGS.items():
        if other.parent == path.parent:
            for name, module in modules.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]
    _SIBLINGS.pop(path, None)


def _lies_in(folder: Path, name: str) -> bool:
    """Whether the folder has a module or package of the first part of that name."""
    first = name.partition(".")[0]
    if first in sys.stdlib_module_names or first == "__main__":
        return False
    return (folder / f"{first}.py").is_file() or (folder / first / "__init__.py").is_file()


def _foreign(folder: Path, module: ModuleType) -> bool:
    file = _file(module)
    return file is not None and folder not in file.parents


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()
