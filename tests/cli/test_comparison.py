"""`curenu evaluate` and `curenu demo`: the table, its JSON and its page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curenu.bench import demo_config, load_config
from curenu.cli import app
from curenu.methods import FineTune, StoCuReNU
from curenu.report import COLUMNS
from curenu.runs.session import Session


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("erased") / "run"
    session = Session.create(folder, "digits")
    session.unlearn(range(100), FineTune(epochs=1))
    session.unlearn(range(100, 120), StoCuReNU(max_steps=1, sample_size=200))
    session.oracle(0)
    session.oracle(1)
    return folder


@pytest.fixture
def folder(erased: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(erased, tmp_path / "run"))


def test_an_evaluation_prints_one_table_and_keeps_results(folder: Path) -> None:
    result = run("evaluate", folder)
    assert result.exit_code == 0, result.output
    for words in (
        "do nothing",
        "oracle (retrained)",
        "fine-tune, stocurenu",
        "ToW",
        "Rf",
        "G loss",
        " ± ",
    ):
        assert words in result.stdout
    results = json.loads((folder / "results.json").read_text())
    assert results["context"]["erased"] == 120
    assert len(results["rows"]) == 3
    page = (folder / "report.html").read_text()
    session = Session.open(folder)
    for words in (
        "<table>",
        session.head.hash,
        session.fingerprint.digest,
        "request-1",
        "stocurenu",
    ):
        assert words in page
    assert results["context"]["head"] == {"number": 2, "hash": session.head.hash}
    assert results["verdict"].startswith("fine-tune, stocurenu: ")
    assert (
        results["verdict"].split()[:8]
        == result.stdout[result.stdout.rindex("fine-tune, stocurenu: ") :].split()[:8]
    )
    assert Session.open(folder).erased == tuple(range(120))


def test_an_evaluation_attacks_and_says_what_may_be_concluded(folder: Path) -> None:
    result = run("evaluate", folder)
    said = " ".join(result.stdout.split("What may be concluded:")[1].split())
    assert "RMIA" in said
    assert "models that never saw them" in said
    assert "What this does not show" in said
    results = json.loads((folder / "results.json").read_text())
    assert results["missing"] == []
    assert all(sentence in said for sentence in results["conclusions"])
    names = [finding["name"] for finding in results["rows"][2]["findings"]]
    assert {"RMIA AUC", "RMIA TPR", "both models AUC"} <= set(names)
    assert "What may be concluded" in (folder / "report.html").read_text()


@pytest.mark.parametrize(("seconds", "cheaper"), [(1e-6, True), (1e6, False)])
def test_an_erasure_says_at_once_where_retraining_is_cheaper(
    folder: Path, seconds: float, cheaper: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "retraining", seconds)
    result = run("unlearn", folder, "--ids", "130", "--method", "fine-tune", "--set", "epochs=1")
    assert result.exit_code == 0, result.stderr
    assert ("Retraining is cheaper here" in result.stderr) is cheaper


def test_an_interrupted_evaluation_says_that_its_oracles_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "oracle", interrupted)
    result = run("evaluate", folder)
    assert result.exit_code == 130
    assert "oracles that were trained are kept" in result.stderr
    assert "nothing of this command" not in result.stderr


def test_the_table_fits_a_terminal_of_80_columns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("evaluate", folder)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout
    for column in COLUMNS:
        assert column.heading in result.stdout


def test_an_evaluation_as_json_is_what_is_kept(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("evaluate", folder, "--json", "--html", page)
    assert json.loads(result.stdout) == json.loads((folder / "results.json").read_text())
    assert page.read_text().startswith("<!doctype html>")
    assert not (folder / "report.html").exists()


def test_evaluations_that_cannot_be_meant_are_refused(folder: Path, tmp_path: Path) -> None:
    assert run("evaluate", folder, "--oracles", "1").exit_code == 2
    nowhere = run("evaluate", folder, "--html", tmp_path / "no" / "where.html")
    assert (nowhere.exit_code, "Cannot write" in nowhere.stderr) == (2, True)
    fresh = tmp_path / "fresh"
    assert run("train", "digits", fresh).exit_code == 0
    assert "Nothing has been erased" in run("evaluate", fresh).stderr


def test_the_demo_is_a_benchmark_with_a_table_and_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "out"
    result = run("demo", "--task", "digits", "--quick", "--jobs", "1", "--out", out)
    assert result.exit_code == 0, result.output
    assert "digits (as asked)" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    results = json.loads((out / "results.json").read_text())
    assert list(results["requests"]) == ["one example", "random 1 %"]
    assert [results["requests"][name]["erased"] for name in results["requests"]] == [1, 14]
    methods = [method.title for method in load_config("demo")[1].methods]
    for name in ("do nothing", "oracle (retrained)", *methods):
        assert result.stdout.count(f"{name} ") >= 2
    assert result.stdout.count("stocurenu: ") == 2
    again = run("demo", "--task", "digits", "--quick", "--jobs", "1", "--out", out, "--json")
    assert json.loads(again.stdout)["cells"] == results["cells"]
    assert (out / "report.html").read_text().count("<svg") >= 2
    assert (out / "report.html").read_text().count('class="who">stocurenu:') == 2


def test_the_demo_says_which_data_it_takes_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURENU_FASHION_MNIST", str(tmp_path))
    config, why = demo_config("demo")
    assert config.task.name == "digits"
    assert "was not found" in why
    assert run("demo", "--task", "fashion-mnist", "--out", tmp_path / "out").exit_code == 3
    assert run("demo", "--task", "nothing", "--out", tmp_path / "out").exit_code == 2
    (tmp_path / "file").write_text("")
    assert run("demo", "--out", tmp_path / "file").exit_code == 2
