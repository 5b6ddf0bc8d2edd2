"""The documentation names every command, method, exit code and equation, and its code runs."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from curenu.cli import app
from curenu.methods import METHODS
from curenu.runs.session import Session
from curenu.tasks import TASKS

ROOT = Path(__file__).parent.parent
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text()
METHODS_PAGE = (ROOT / "docs/reference/methods.md").read_text()


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_every_command_is_in_the_documentation() -> None:
    for command in commands():
        assert f"`curenu {command}" in DOCS["cli.md"]


def test_every_option_of_every_command_is_in_the_documentation() -> None:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for parameter in command.params:
            long = [word for word in parameter.opts if word.startswith("--")]
            assert all(f"`{word}" in DOCS["cli.md"] for word in long), (name, long)


def test_every_option_of_every_task_is_in_the_documentation() -> None:
    for name, make in TASKS.items():
        for option in inspect.signature(make).parameters:
            rows = re.findall(rf"^\|[^|]*`{option}`[^|]*\|([^|]*)\|", DOCS["tasks.md"], re.M)
            assert any(f"`{name}`" in row or "all others" in row for row in rows), (name, option)


def test_every_method_is_in_the_reference() -> None:
    for kind in METHODS.values():
        assert f"::: curenu.methods.{kind.__name__}\n" in METHODS_PAGE


def test_equations_that_the_code_names_are_numbered_in_the_theory() -> None:
    numbered = set(re.findall(r"\\tag\{(\d+)\}", DOCS["theory.md"]))
    for path in (ROOT / "src").rglob("*.py"):
        for sentence in re.findall(r"[Ee]quations? [^.]*", path.read_text()):
            assert set(re.findall(r"\((\d+)\)", sentence)) <= numbered, path


def test_files_that_the_documentation_names_exist() -> None:
    decisions = "".join(path.read_text() for path in (ROOT / "docs/decisions").glob("*.md"))
    for text in (README, decisions, *DOCS.values()):
        for name in re.findall(r"`((?:tests|examples|docs|benchmarks|src)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), name


def test_console_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```console\n(.*?)```", DOCS["cli.md"], re.S)
    lines = [line.removeprefix("$ curenu ") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == 0, (line, result.output)


def test_the_commands_from_letter_to_release_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", DOCS["letter_to_release.md"], re.S)
    lines = [line.removeprefix("$ curenu ") for block in blocks for line in block.splitlines()]
    assert len(lines) == 10
    for line in lines:
        result = CliRunner().invoke(app, line.split())
        assert result.exit_code == 0, (line, result.output)
    assert "everything fits" in CliRunner().invoke(app, ["verify", "run"]).stdout


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = README[:1200]
    assert "make demo" in opening
    assert "make test" in opening


def test_the_example_of_a_model_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/own_model.py"), run_name="__main__")
    assert "products gave a step of length" in capsys.readouterr().out


def test_the_example_of_a_task_is_trained_and_unlearned(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "run", f"{ROOT / 'examples/own_task.py'}:wine")
    name = session.task.ids[5]  # type: ignore[index]
    assert session.unlearn([name]).record.ids == (name,)
