"""User's own files: dataclasses, modules beside them, and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from curenu.errors import BadRequest
from curenu.user_file import function_of, sources_of

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
    assert {path.name for path in sources_of(reference)} == {"own.py", "helper_beside.py"}
    assert made() == 42
    assert sys.path == before
    names = {path.name for path in sources_of(reference)}
    assert names == {"own.py", "helper_beside.py", "later_beside.py"}
    assert not list(folder.rglob("*.pyc"))


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
