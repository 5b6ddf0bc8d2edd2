"""The code that a run names is run only if it is as it was and somebody here vouched for it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from curenu.cli import app
from curenu.errors import RunBroken, SourceNotTrusted
from curenu.runs.records import digest
from curenu.runs.session import Session
from curenu.user_file import function_of, limited_to, sources_of

OWN = """
from __future__ import annotations
import dataclasses
from pathlib import Path
import helper

@dataclasses.dataclass
class Settings:
    epochs: int = 1

def small(epochs: int = 1):
    Path(__file__).with_name("was run").touch()
    from curenu.tasks import load_task
    import late.part
    task = load_task("digits")
    recipe = dataclasses.replace(task.recipe, epochs=Settings(epochs).epochs)
    return dataclasses.replace(task, name=helper.NAME + late.part.NAME, recipe=recipe)
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project: `own.py`, what it imports from beside it, and a run."""
    place = tmp_path_factory.mktemp("project")
    (place / "own.py").write_text(OWN)
    (place / "helper.py").write_text("NAME = 'small'\n")
    (place / "late").mkdir()
    (place / "late" / "__init__.py").write_text("")
    (place / "late" / "part.py").write_text("NAME = ' one'\n")
    trained = run("train", f"{place / 'own.py'}:small", place / "run", "--option", "epochs=1")
    assert trained.exit_code == 0, trained.output
    return place


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """The project, moved as a whole; its code has not been run there."""
    moved = Path(shutil.copytree(made, tmp_path / "moved"))
    (moved / "was run").unlink()
    return moved


def refused(project: Path, *words: str | Path) -> str:
    result = run("spectrum", project / "run", "--products", "2", *words)
    assert result.exit_code == 9, result.output
    assert not (project / "was run").exists()
    return result.stderr.replace("\n", " ")


def test_the_record_says_what_was_run_and_where_it_lies_from_the_run(made: Path) -> None:
    described = Session.open(made / "run").description
    assert described.task == "own.py:small"
    files = ("own.py", "helper.py", "late/__init__.py", "late/part.py")
    assert described.sources == {name: digest((made / name).read_bytes()) for name in files}
    assert described.title == "small one"


def test_a_project_is_moved_as_a_whole_and_a_run_alone_with_a_word(
    project: Path, tmp_path: Path
) -> None:
    assert Session.open(project / "run").task.name == "small one"
    alone = shutil.move(project / "run", tmp_path / "elsewhere")
    result = run("spectrum", alone, "--products", "2")
    assert result.exit_code == 9
    assert "no file is there" in result.stderr
    assert "--task path/to/file.py:function" in result.stderr
    (project / "own.py").rename(project / "renamed.py")
    named = f"{project / 'renamed.py'}:small"
    assert run("spectrum", alone, "--products", "2", "--task", named).exit_code == 0
    assert Session.open(alone, named).task.name == "small one"


@pytest.mark.parametrize("name", ["own.py", "helper.py", "late/part.py"])
def test_changed_code_is_not_run(project: Path, name: str) -> None:
    with (project / name).open("a") as file:
        file.write("# a remark\n")
    said = refused(project)
    for words in (
        f"error: {name} in {project} changed since the run was made",
        "as it was",
        "--trust",
    ):
        assert words in said
    assert "changed" in refused(project, "--task", f"{project / 'own.py'}:small")
    with pytest.raises(SourceNotTrusted):
        Session.open(project / "run")
    assert Session.open(project / "run", trust=True).task.name == "small one"
    assert "changed" in run("spectrum", project / "run").stderr  # trust is for one command


def rewrite(run: Path, before: str, after: str) -> None:
    text = (run / "task.toml").read_text()
    assert before in text
    (run / "task.toml").write_text(text.replace(before, after))


def test_a_run_of_a_built_in_task_that_names_code_does_not_run_it(tmp_path: Path) -> None:
    Session.create(tmp_path / "run", "digits")
    (tmp_path / "evil.py").write_text("import os\ndef f():\n    os.abort()\nos.abort()\n")
    rewrite(tmp_path / "run", 'task = "digits"', f'task = "{tmp_path / "evil.py"}:f"')
    for words in ([], ["--task", f"{tmp_path / 'evil.py'}:f"]):
        result = run("spectrum", tmp_path / "run", *words)
        assert (result.exit_code, "no hash" in result.stderr) == (9, True), result.stderr


def test_hashes_that_came_with_the_folder_vouch_for_nothing(project: Path) -> None:
    """Who can write what is run can write its hash beside it."""
    before = digest((project / "helper.py").read_bytes())
    (project / "helper.py").write_text("NAME = 'small'\nimport os\n")
    rewrite(project / "run", before, digest((project / "helper.py").read_bytes()))
    assert "nobody vouched for" in refused(project)
    assert "--task" in refused(project)
    named = f"{project / 'own.py'}:small"
    with pytest.raises(RunBroken, match="not that of its first record"):
        Session.open(project / "run", named)  # the hashes are in the ledger too


def test_other_options_are_not_what_was_vouched_for(project: Path) -> None:
    rewrite(project / "run", "epochs = 1", "epochs = 0")
    assert "nobody vouched for" in refused(project)


def test_another_person_must_vouch_anew(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURENU_TRUSTED", str(tmp_path / "list"))
    assert "nobody vouched for" in refused(project)
    assert run("spectrum", project / "run", "--products", "2", "--trust").exit_code == 0
    assert run("spectrum", project / "run", "--products", "2").exit_code == 0


def test_code_runs_although_the_list_cannot_be_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CURENU_TRUSTED", str(tmp_path / "file" / "list"))
    with pytest.warns(UserWarning, match="Cannot write"):
        Session.open(project / "run", f"{project / 'own.py'}:small")


@pytest.mark.parametrize(
    ("words", "message"), [(["--task", "own"], "names no file"), (["--task", "x.py:f"], "built in")]
)
def test_a_task_that_cannot_be_meant_is_refused(
    tmp_path: Path, words: list[str], message: str
) -> None:
    Session.create(tmp_path / "run", "digits")
    result = run("spectrum", tmp_path / "run", *words)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_run_of_an_object_is_opened_by_a_file_that_returns_it(project: Path) -> None:
    task = Session.open(project / "run").task
    Session.create(project / "object", task)
    named = f"{project / 'own.py'}:small"
    assert Session.open(project / "object", named).task.name == "small one"


# The loader ---------------------------------------------------------------------------------


@pytest.fixture
def modules() -> Iterator[None]:
    before, finders = {*sys.modules}, [*sys.meta_path]
    yield
    for name in {*sys.modules} - before:
        del sys.modules[name]
    sys.meta_path[:] = finders


def files(folder: Path, **content: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in content.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.usefixtures("modules")
def test_two_folders_each_import_their_own_helper(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = files(
            tmp_path / name, own="import aid\ndef f(): return aid.NAME\n", aid=f"NAME = {name!r}"
        )
        assert function_of(f"{folder / 'own.py'}:f")() == name


@pytest.mark.usefixtures("modules")
def test_a_file_beside_it_takes_no_installed_module_s_place(tmp_path: Path) -> None:
    folder = files(
        tmp_path / "f", json="raise SystemExit", torch="raise SystemExit",
        own="import json, torch\ndef f(): return json.dumps([torch.__name__])\n",
    )  # fmt: skip
    assert json.loads(function_of(f"{folder / 'own.py'}:f")()) == ["torch"]
    named = files(tmp_path / "g", json="import json\ndef f(): return json.dumps([1])\n")
    assert function_of(f"{named / 'json.py'}:f")() == "[1]"
    assert json is sys.modules["json"]


@pytest.mark.usefixtures("modules")
def test_no_compiled_copy_stands_between_the_hash_and_what_is_run(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", own="import aid\ndef f(): return aid.WORD\n", aid="WORD = 'a'")
    reference = f"{folder / 'own.py'}:f"
    assert function_of(reference)() == "a"
    times = (folder / "aid.py").stat()
    (folder / "aid.py").write_text("WORD = 'b'")  # the same size and time: a cache is not renewed
    os.utime(folder / "aid.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert function_of(reference)() == "b"
    assert not (folder / "__pycache__").exists()


@pytest.mark.usefixtures("modules")
def test_a_later_import_is_held_to_the_hashes_as_well(tmp_path: Path) -> None:
    folder = files(
        tmp_path / "f", own="def f():\n    import aid\n    return aid.WORD\n", aid="WORD = 'a'"
    )
    reference = f"{folder / 'own.py'}:f"
    function_of(reference)
    with limited_to(sources_of(reference)):
        late = function_of(reference)
    with pytest.raises(SourceNotTrusted, match=r"aid\.py is imported"):
        late()
