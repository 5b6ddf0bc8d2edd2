"""Which code made a built-in task: every module that it uses counts, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from curenu import tasks
from curenu.networks import fingerprint, refuse_other, source_of
from curenu.networks.source import _texts
from curenu.tasks import TASKS, load_task

FOLDER = Path(tasks.__path__[0])
DIGITS = load_task("digits")


def sources() -> dict[str, str]:
    """The source of every built-in task; which object it is given does not count."""
    return {name: source_of(DIGITS, name) for name in TASKS}


def another(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `curenu.tasks` whose files count from now on, as if a later process had it."""
    made = Path(shutil.copytree(folder, place / f"tasks-{len(list(place.iterdir()))}"))
    monkeypatch.setattr(tasks, "__file__", str(made / "__init__.py"))
    return made


def edit(file: Path, text: str = "# one more line") -> None:
    file.write_text(f"{file.read_text()}\n{text}\n")


ALL = set(TASKS)


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("found.py", ALL - {"digits"}),
        ("recipe.py", ALL),
        ("task.py", ALL),
        ("networks/residual.py", {"cifar10", "fashion-mnist", "newsgroups"}),
        ("networks/__init__.py", {"cifar10", "fashion-mnist", "newsgroups"}),
        ("networks/llama.py", {"tofu"}),
        ("language.py", {"tofu"}),
        ("digits.py", {"digits"}),
        ("selection.py", set()),
    ],
)
def test_an_edited_module_changes_the_source_of_those_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, changed: set[str]
) -> None:
    before = sources()
    edit(another(FOLDER, tmp_path, monkeypatch) / edited)
    after = sources()
    assert {name for name in TASKS if before[name] != after[name]} == changed


def test_where_the_package_lies_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sources()
    another(FOLDER, tmp_path, monkeypatch)
    assert sources() == before
    assert len(set(before.values())) == len(TASKS)


def test_what_a_task_uses_is_found_by_what_is_imported() -> None:
    of = {name: set(_texts(TASKS[name].__module__, FOLDER)) for name in ("digits", "tofu")}
    package = "curenu.tasks"
    assert of["digits"] == {f"{package}.{name}" for name in ("digits", "recipe", "task")}
    assert of["tofu"] == {
        f"{package}.{name}"
        for name in ("tofu", "found", "language", "networks.llama", "recipe", "task")
    }


def test_imports_inside_functions_and_relative_ones_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = another(FOLDER, tmp_path, monkeypatch)
    edit(first / "digits.py", "def late():\n    from .found import DataFiles\n    return DataFiles")
    before = source_of(DIGITS, "digits")
    edit(another(first, tmp_path, monkeypatch) / "found.py")
    assert source_of(DIGITS, "digits") != before


def test_the_version_is_named_beside_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    word, version, digest = source_of(DIGITS, "digits").split()
    monkeypatch.setattr("curenu.networks.source.__version__", "9.9")
    assert source_of(DIGITS, "digits") == f"{word} 9.9 {digest}"
    assert (word, version != "9.9", len(digest)) == ("curenu", True, 64)


def test_files_are_read_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another(FOLDER, tmp_path, monkeypatch)
    read: list[str] = []
    reading = Path.read_text

    def told(path: Path, *args: Any, **options: Any) -> str:
        read.append(path.name)
        return reading(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", told)
    first = source_of(DIGITS, "digits")
    assert sorted(read) == ["digits.py", "recipe.py", "task.py"]
    assert source_of(DIGITS, "digits") == first
    assert len(read) == 3


def test_a_run_opens_after_such_an_edit_and_its_networks_are_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(DIGITS, "digits")
    edit(another(FOLDER, tmp_path, monkeypatch) / "recipe.py")
    after = fingerprint(DIGITS, "digits")
    assert before.changed(after) == ("source",)
    assert before.training != after.training
    refuse_other(before, after, "digits")
