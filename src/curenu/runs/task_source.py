"""The code that a run names: run only if it is as it was, and somebody here vouched for it.

Whoever can write a run folder can write what it names and the hashes beside it. What may be run
is therefore kept outside, in a list of the person who runs it: a line for each file that was
named on a command line here, with the hash of its bytes, of what it imports from beside it and
of its options.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

from curenu.distributed import by_first
from curenu.errors import BadRequest, SourceNotTrusted
from curenu.runs.records import RunDescription
from curenu.tasks import Task, load_task
from curenu.user_file import digest_of, is_reference, limited_to, sources_of

__all__ = ["built_in", "hashes_of", "place_of", "reference_from", "task_of", "vouch"]

_VARIABLE = "CURENU_TRUSTED"
_AFTER_READING = "`--trust` (`trust=True`) after reading it"


def reference_from(reference: str, folder: Path) -> str:
    """`reference` as the run in `folder` keeps it.

    Relative to the folder that holds the run folder if the file lies in there, so that both
    can be moved together; else with its full path.
    """
    file, colon, function = reference.rpartition(":")
    root = folder.resolve().parent
    path = Path(file).resolve()
    if not colon or not path.is_relative_to(root):
        return reference
    return f"{path.relative_to(root).as_posix()}:{function}"


def hashes_of(reference: str | None) -> dict[str, str]:
    """Hashes of a loaded file and its siblings, by their paths from its folder."""
    if reference is None or not is_reference(reference):
        return {}
    folder = _file(reference).parent
    return {p.relative_to(folder).as_posix(): h for p, h in sources_of(reference).items()}


def task_of(
    description: RunDescription, folder: Path, *, named: str | None = None, trust: bool = False
) -> Task:
    """The task of the run in `folder`, from the file `named` if it is not where it was.

    A built-in task is loaded as it is. A file is run if its bytes and those of its siblings
    have the hashes on record and it was vouched for here; one that is `named` is vouched for by
    that. With `trust` it is run as it is now. Raises `SourceNotTrusted` before anything is run.
    """
    reference = description.task
    if named is not None and not is_reference(named):
        raise BadRequest(f"{named} names no file.", "path/to/file.py:function.")
    if reference is None and named is None:
        raise BadRequest(
            f"The run's task {description.title!r} was given as an object.",
            "`Session.open(folder, task=...)` with the same task, or `--task "
            "path/to/file.py:function` with a function that returns it.",
        )
    if built_in(description) is not None:
        if named is not None:
            raise BadRequest(f"The run's task is {reference!r}, which is built in.", "no --task.")
        return load_task(str(reference), **description.options)
    place = place_of(description, folder, named) or str(named)
    if trust or reference is None:
        _check_there(place, described=description)
        task = load_task(place, **description.options)
    else:
        allowed = _checked(description, place)
        if named is None and _token(description, place) not in _vouched():
            raise SourceNotTrusted(
                f"The run names the code {place}, which nobody vouched for here: it was not "
                "trained here, or the folder was changed.",
                f"`--task {place}` if that is the code you mean, or {_AFTER_READING}.",
            )
        with limited_to(allowed):
            task = load_task(place, **description.options)
    if hashes_of(place) == _renamed(description, place):
        _remember(_token(description, place))
    return task


def built_in(description: RunDescription) -> str | None:
    """The name of the run's task, if it is a built-in one."""
    task = description.task
    return None if task is None or is_reference(task) else task


def place_of(description: RunDescription, folder: Path, named: str | None = None) -> str | None:
    """The name or `file.py:function`, `named` or where it lay, that gives the run's task.

    None for a task that was given as an object.
    """
    if description.task is None or built_in(description) is not None:
        return description.task
    return named or str(folder.resolve().parent / description.task)


def vouch(description: RunDescription) -> None:
    """Put the code of a run that was made here on the list."""
    if description.task is not None and is_reference(description.task):
        _remember(_token(description, description.task))


def _checked(description: RunDescription, place: str) -> dict[Path, str]:
    """Paths and hashes of what may be run; all of it is compared before any of it is."""
    _check_there(place, described=description)
    expected = _renamed(description, place)
    folder = _file(place).parent
    name = _file(place).name
    if name not in expected:
        raise SourceNotTrusted(
            f"The run has no hash of {place} on record.",
            f"{_AFTER_READING}, or a new run.",
        )
    changed = [part for part, known in expected.items() if _now(folder / part) != known]
    if changed:
        raise SourceNotTrusted(
            f"{', '.join(changed)} in {folder} changed since the run was made.",
            f"the file as it was (`--task path/to/file.py:function` if it is elsewhere), or "
            f"{_AFTER_READING}.",
        )
    return {folder / part: known for part, known in expected.items()}


def _check_there(place: str, *, described: RunDescription) -> None:
    if not _file(place).is_file():
        raise SourceNotTrusted(
            f"The task of {described.title!r} was in {_file(place)}, and no file is there.",
            "`--task path/to/file.py:function` with where it is now.",
        )


def _renamed(description: RunDescription, place: str) -> dict[str, str]:
    """The hashes on record, with the main file under the name it has now."""
    main = _file(description.task or place).name
    return {_file(place).name if p == main else p: h for p, h in description.sources.items()}


def _now(file: Path) -> str | None:
    try:
        return digest_of(file)
    except OSError:
        return None


def _file(reference: str) -> Path:
    return Path(reference.rpartition(":")[0]).resolve()


def _token(description: RunDescription, place: str) -> str:
    """One hash of the function's name, its options, and all files but their places."""
    main = _file(description.task or place).name
    parts = {"" if p == main else p: h for p, h in description.sources.items()}
    said = [place.rpartition(":")[2], parts, description.options]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _list() -> Path:
    named = os.environ.get(_VARIABLE)
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "curenu" / "trusted"


def _vouched() -> set[str]:
    try:
        return set(_list().read_text().split())
    except (OSError, UnicodeDecodeError):
        return set()


@by_first
def _remember(token: str) -> None:
    if token in _vouched():
        return
    try:
        _list().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _list().open("a") as lines:
            lines.write(token + "\n")
    except OSError as error:
        warnings.warn(
            f"Cannot write {_list()}: {error.strerror}. The run's code will have to be allowed "
            f"again by --task or --trust; {_VARIABLE} names another file.",
            stacklevel=3,
        )
