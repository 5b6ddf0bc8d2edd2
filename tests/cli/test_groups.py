"""Requests for whole groups on the command line: people, authors."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curenu.cli import app
from curenu.runs.session import Session
from tests.runs.runs import state_of

QUICK = ["--method", "fine-tune", "--set", "epochs=1", "--json"]
GROUPS = ["author 1", "author 2", "Smith, J.", "7"]
PEOPLE = f"""
import dataclasses
from curenu.tasks import load_task

def people():
    task = load_task("digits")
    groups = [{GROUPS!r}[place % 4] for place in range(len(task.train))]
    groups = [int(name) if name == "7" else name for name in groups]
    recipe = dataclasses.replace(task.recipe, epochs=1)
    return dataclasses.replace(task, name="people", recipe=recipe, groups=groups)
"""
SIZE = 1437


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def erased(folder: Path, *words: str | Path) -> Any:
    result = run("unlearn", folder, *words, *QUICK)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["positions"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("groups")
    (place / "own.py").write_text(PEOPLE)
    assert run("train", f"{place / 'own.py'}:people", place / "run").exit_code == 0
    return place / "run"


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.parent, tmp_path / "moved")) / "run"


def members(*names: str) -> list[int]:
    return [place for place in range(SIZE) if GROUPS[place % 4] in names]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["author 2"], ["author 2"]),
        (["author 1", "author 2", "author 1"], ["author 1", "author 2"]),
        (["Smith, J."], ["Smith, J."]),
        (["Smith, J.", "7"], ["Smith, J.", "7"]),
    ],
)
def test_everything_of_the_named_groups_is_erased(
    folder: Path, words: list[str], names: list[str]
) -> None:
    given = [part for word in words for part in ("--groups", word)]
    assert erased(folder, *given) == members(*names)


def test_of_a_group_that_is_in_part_gone_the_rest_is_erased(folder: Path) -> None:
    assert erased(folder, "--ids", "0", "--ids", "4", "--ids", "5") == [0, 4, 5]
    assert erased(folder, "--groups", "author 1") == [p for p in members("author 1") if p > 5]
    again = run("unlearn", folder, "--groups", "author 1", *QUICK)
    assert (again.exit_code, "Nothing is left of group 'author 1'" in again.stderr) == (2, True)
    assert len(Session.open(folder).records) == 2


def test_a_named_request_for_a_group_is_granted_once(folder: Path) -> None:
    words = ["--groups", "author 1", "--request", "letter"]
    assert erased(folder, *words) == erased(folder, *words)
    assert len(Session.open(folder).records) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--groups", "auther 2"], "No group is named 'auther 2'.*'author 2'"),
        (
            ["--groups", "author 1", "--groups", "zzz"],
            "'zzz'.*one of the 4 groups, such as author 1, author 2",
        ),
        (["--groups", ""], "No group is named ''"),
        (["--groups", "7", "--ids", "1"], "named in 2 ways"),
        (["--groups", "7", "--share", ".5"], "--share is of --classes"),
        (["--groups", "author 1,author 2"], "No group is named 'author 1,author 2'"),
    ],
)
def test_groups_that_cannot_be_meant_are_refused_and_change_nothing(
    folder: Path, words: list[str], message: str
) -> None:
    before = state_of(folder)
    result = run("unlearn", folder, *words, *QUICK)
    assert result.exit_code == 2, result.output
    assert re.search(message, result.stderr, re.DOTALL)
    assert result.stdout == ""
    assert state_of(folder) == before


def test_the_help_shows_a_request_for_groups() -> None:
    assert (
        'curenu unlearn run --groups "author 3" --groups "author 7"'
        in run("unlearn", "--help").stdout
    )
