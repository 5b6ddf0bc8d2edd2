"""Functions of a user's own file, named as `path/to/file.py:function`.

The file and the modules it imports from beside it are read, hashed and compiled here, from the
same bytes: no compiled copy stands between the hash and what is run.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from curenu.arguments import suggestion
from curenu.errors import BadRequest, CurenuError, SourceNotTrusted

__all__ = ["digest_of", "function_of", "is_reference", "limited_to", "sources_of"]

Hashes = Mapping[Path, str]

_ALLOWED: ContextVar[Hashes | None] = ContextVar("allowed", default=None)
_FINDERS: dict[Path, _Siblings] = {}


def is_reference(name: str) -> bool:
    """Whether `name` has the form `file.py:function`."""
    return bool(name.rpartition(":")[0])


def digest_of(file: Path) -> str:
    """SHA-256 of a file's bytes; `OSError` if it cannot be read."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def limited_to(hashes: Hashes) -> Iterator[None]:
    """Inside the block only files of these paths and hashes are run; later imports included.

    Any other raises `SourceNotTrusted`.
    """
    before = _ALLOWED.set(dict(hashes))
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def function_of(reference: str) -> Callable[..., Any]:
    """The function that `file.py:function` names; the file is run.

    It may import modules that lie beside it, unless an installed one has their name. Raises
    `BadRequest` for a file or function that is not there, or that fails to import.
    """
    path, _, function = reference.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise BadRequest(f"There is no file {path}.", "the path of a Python file.")
    if file.suffix != ".py":
        raise BadRequest(f"{path} is no Python file.", "a file that ends in .py.")
    try:
        module = _loaded(file.resolve())
    except CurenuError:
        raise
    except (Exception, SystemExit) as error:
        raise BadRequest(
            f"{path} cannot be imported: {type(error).__name__}: {error}.", "mending the file."
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise BadRequest(
            f"{path} has no function {function!r}.", suggestion(function, _own(module))
        )
    return found


def _own(module: ModuleType) -> list[str]:
    """The names of what a file defines that can be called."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]


def sources_of(reference: str) -> dict[Path, str]:
    """The file of a reference that was loaded and what it imported from beside it, hashed."""
    finder = _FINDERS.get(Path(reference.rpartition(":")[0]).resolve())
    return dict(finder.sources) if finder else {}


class _Siblings(MetaPathFinder):
    """Finds modules in the folder of a user's file; one that is installed goes first."""

    def __init__(self, folder: Path, allowed: Hashes | None) -> None:
        self.folder, self.allowed = folder, allowed
        self.sources: dict[Path, str] = {}
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's file in the folder; None leaves it to others."""
        parent = fullname.rpartition(".")[0]
        if parent and parent not in self.names:
            return None
        base = self.folder.joinpath(*fullname.split("."))
        beside = (base / "__init__.py", base.with_name(base.name + ".py"))
        file = next((file for file in beside if file.is_file()), None)
        if file is None or (not parent and self._installed(fullname)):
            return None
        self.names.add(fullname)
        return self.spec(fullname, file, package=file.stem == "__init__")

    def spec(self, name: str, file: Path, *, package: bool = False) -> ModuleSpec:
        """What runs `file` as the module `name`."""
        found = spec_from_loader(name, _Bytes(file, self), origin=str(file), is_package=package)
        assert found is not None
        found.has_location = True
        return found

    def _installed(self, name: str) -> bool:
        if name in sys.stdlib_module_names:
            return True
        found = PathFinder.find_spec(name)
        origin = None if found is None else found.origin
        return found is not None and (
            origin is None or self.folder not in Path(origin).resolve().parents
        )


class _Bytes(Loader):
    """Runs a file from the bytes that were hashed."""

    def __init__(self, file: Path, finder: _Siblings) -> None:
        self.file, self.finder = file, finder

    def exec_module(self, module: ModuleType) -> None:
        """Hash, check, compile and run."""
        content = self.file.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        allowed = self.finder.allowed
        if allowed is not None and allowed.get(self.file) != found:
            raise SourceNotTrusted(
                f"{self.file} is imported by the run's task, and its hash is not on record.",
                "`--trust` (`trust=True`) after reading it, or the files as they were.",
            )
        self.finder.sources[self.file] = found
        exec(compile(content, str(self.file), "exec", dont_inherit=True), module.__dict__)


def _loaded(file: Path) -> ModuleType:
    """The file as a module, run anew; siblings of files loaded before make way for its own."""
    finder = _Siblings(file.parent, _ALLOWED.get())
    for other in _FINDERS.values():
        for name in other.names:
            sys.modules.pop(name, None)
    stale = _FINDERS.pop(file, None)
    if stale in sys.meta_path:
        sys.meta_path.remove(stale)
    _FINDERS[file] = finder
    sys.meta_path.insert(0, finder)
    name = _free_name(file)
    module = module_from_spec(finder.spec(name, file))
    before = sys.modules.get(name)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        module.__spec__.loader.exec_module(module)  # type: ignore[union-attr]
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _free_name(file: Path) -> str:
    """The file's own name, unless a module that is none of ours has it."""
    name = file.stem.replace(".", "_")
    held = sys.modules.get(name)
    ours = held is None or any(str(other) == getattr(held, "__file__", "") for other in _FINDERS)
    found = None if name in sys.stdlib_module_names else PathFinder.find_spec(name)
    installed = found is not None and found.origin != str(file)
    taken = name in sys.stdlib_module_names or installed or not ours
    return f"_user_{name}" if taken else name
