"""User's own files: dataclasses, modules beside them, two of one name, and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from curenu.errors import BadRequest
from curenu.user_file import function_of, source_files

DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass, replace
from typing import ClassVar

@dataclass
class Size:
    width: int
    known: ClassVar[int] = 3

def made(width: int = 2) -> Size:
    return replace(Size(1), width=width)
"""


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_a_file_with_a_dataclass_loads(tmp_path: Path) -> None:
    made = function_of(f"{written(tmp_path, own=DATACLASS) / 'own.py'}:made")
    assert made(width=5).width == 5
    assert get_type_hints(made)["width"] is int


def test_modules_beside_a_file_are_found_and_the_search_path_stays(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        own="import helper_beside\ndef made():\n    import later_beside\n"
        "    return helper_beside.VALUE + later_beside.VALUE\n",
        helper_beside="VALUE = 40\n",
        later_beside="VALUE = 2\n",
    )
    before = list(sys.path)
    reference = f"{folder / 'own.py'}:made"
    made = function_of(reference)
    assert [path.name for path in source_files(reference)] == ["own.py", "helper_beside.py"]
    assert made() == 42
    assert sys.path == before
    names = [path.name for path in source_files(reference)]
    assert names == ["own.py", "helper_beside.py", "later_beside.py"]
    assert not list(folder.rglob("*.pyc"))


def test_files_and_modules_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    text = "import same_name\ndef made():\n    import same_name as now\n    return now.VALUE\n"
    functions = []
    for value in (1, 2):
        folder = written(tmp_path / str(value), own=text, same_name=f"VALUE = {value}\n")
        functions.append(function_of(f"{folder / 'own.py'}:made"))
    assert [made() for made in functions] == [1, 2]
    assert [made() for made in reversed(functions)] == [2, 1]


def test_a_changed_file_and_a_changed_module_beside_it_are_read_anew(tmp_path: Path) -> None:
    text = "import changed_beside\ndef made():\n    return {}, changed_beside.VALUE\n"
    reference = f"{tmp_path / 'own.py'}:made"
    for value in (1, 2):
        written(tmp_path, own=text.format(value), changed_beside=f"VALUE = {value}\n")
        assert function_of(reference)() == (value, value)


def test_a_file_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    written(tmp_path, own="import helper_of_failing\nraise OSError('no')\n", helper_of_failing="")
    modules, path = set(sys.modules), list(sys.path)
    with pytest.raises(BadRequest, match="OSError: no"):
        function_of(f"{tmp_path / 'own.py'}:made")
    assert {name for name in set(sys.modules) - modules if name.startswith("own")} == set()
    assert sys.path == path


def test_a_module_beside_a_file_does_not_replace_one_that_others_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = written(tmp_path / "elsewhere", shared_name="VALUE = 'theirs'\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    import shared_name  # type: ignore[import-not-found]

    folder = written(
        tmp_path / "own",
        own="import shared_name\ndef made():\n    return shared_name.VALUE\n",
        shared_name="VALUE = 'own'\n",
    )
    assert function_of(f"{folder / 'own.py'}:made")() == "own"
    assert sys.modules["shared_name"] is shared_name
    monkeypatch.delitem(sys.modules, "shared_name")
