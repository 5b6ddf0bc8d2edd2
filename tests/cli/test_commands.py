"""The command line: results, JSON, exit codes, and what it says when it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from curenu.cli import app
from curenu.cli.choice import TASK_NAMES, build_method, complete_method, complete_task
from curenu.errors import BadRequest
from curenu.methods import METHODS, DampedNewton, FineTune, StoCuReNU
from curenu.methods.catalogue import ABOUT
from curenu.runs.session import Session
from curenu.tasks import TASKS, load_task
from tests.runs.runs import state_of

COMMANDS = ["demo", "train", "adopt", "unlearn", "retrain", "evaluate", "log", "verify", "purge"]
COMMANDS += ["migrate", "spectrum", "methods"]
QUICK = ["--method", "fine-tune", "--set", "epochs=1"]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def answer(*words: str | Path) -> Any:
    """The JSON that a command prints, and nothing else, on stdout."""
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def ids(*numbers: int) -> list[str]:
    return [word for number in numbers for word in ("--ids", str(number))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert answer("train", "digits", folder, "--seed", "1")["seed"] == 1
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: curenu {command}" in result.stdout


def test_a_model_trained_elsewhere_is_adopted_and_said_to_be(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    torch.save(load_task("digits").train_model(0).state_dict(), weights)
    place = tmp_path / "run"
    result = run("adopt", weights, "digits", place)
    assert result.exit_code == 0, result.output
    assert "Trained elsewhere" in result.stdout
    assert "adopted" in run("show", place).stdout
    assert "adopted" in run("log", place).stdout
    assert answer("show", place)["adopted"]
    assert run("unlearn", place, *ids(3)).exit_code == 0
    assert run("verify", place).exit_code == 0


def test_training_says_what_it_made(tmp_path: Path) -> None:
    result = run("train", "digits", tmp_path / "run")
    assert result.exit_code == 0
    assert "Trained digits on 1437 examples" in result.stdout
    assert "curenu unlearn" in result.stderr


def test_ids_are_erased_and_the_record_is_printed(folder: Path, tmp_path: Path) -> None:
    record = answer("unlearn", folder, "--ids", "5", "--ids", "3", *QUICK)
    assert record["positions"] == [3, 5]
    assert record["arguments"]["epochs"] == 1
    listed = tmp_path / "ids.txt"
    listed.write_text("7\n8\n9\n")
    assert answer("unlearn", folder, "--ids-file", listed, *QUICK)["ids"] == [7, 8, 9]
    result = run("unlearn", folder, "--ids", "11", *QUICK)
    assert result.exit_code == 0
    assert "erased 1 examples by fine-tune" in result.stdout
    assert Session.open(folder).erased == (3, 5, 7, 8, 9, 11)


def test_classes_and_random_shares_are_drawn_from_what_stays(folder: Path) -> None:
    labels = Session.open(folder).task.classes
    record = answer("unlearn", folder, "--classes", "0,3", "--share", "0.5", *QUICK)
    assert {int(labels[p]) for p in record["positions"]} == {0, 3}
    expected = sum(round(0.5 * int((labels == c).sum())) for c in (0, 3))
    assert len(record["positions"]) == expected
    second = answer("unlearn", folder, "--random", "0.1", *QUICK)
    assert len(second["positions"]) == round(0.1 * (1437 - expected))
    assert set(second["positions"]).isdisjoint(record["positions"])


def test_a_named_request_with_a_drawn_set_is_granted_once(folder: Path) -> None:
    words = ["unlearn", folder, "--random", "0.1", "--request", "letter", *QUICK]
    first = answer(*words)
    result = run(*words)
    assert result.exit_code == 0
    assert "granted before" in result.stderr
    assert answer(*words) == first
    assert "as record 1" in result.stderr
    assert len(Session.open(folder).records) == 1


def test_a_dry_run_estimates_and_changes_nothing(folder: Path) -> None:
    before = state_of(folder)
    found = answer("unlearn", folder, "--ids", "1", "--ids", "2", "--dry-run")
    assert found["forget"] == 2
    assert found["retain"] == 1435
    assert found["seconds"] > 0
    assert found["bytes"] > 2410 * 4
    assert "nothing was done" in run("unlearn", folder, "--ids", "1", "--dry-run").stdout
    assert state_of(folder) == before


def test_a_method_reports_its_certificate_for_what_it_is(folder: Path) -> None:
    settings = ("objective=retain", "max_steps=1", "sample_size=64", "certificate_products=5")
    words = [word for setting in settings for word in ("--set", setting)]
    result = run("unlearn", folder, "--ids", "1", *words)
    assert result.exit_code == 0
    assert "not one of privacy" in result.stdout
    said = " ".join(result.stdout.split())
    for words in ("64 of 1436 examples", "perhaps not the smallest", "Proved but for 1% of random"):
        assert words in said


def test_a_sequence_shows_its_drift_and_an_ordinary_one_no_advice(folder: Path) -> None:
    method = ["--set", "max_steps=1", "--set", "sample_size=64"]
    first = answer("unlearn", folder, *ids(1, 2, 3), *method)
    assert first["anchor"] == "last"
    assert first["drift"]["requests"] == 1
    assert first["drift"]["advice"] == []
    assert first["drift"]["check"] is None
    shown = run(
        "unlearn", folder, *ids(4, 5), "--anchor", "first", "--check-drift", *method
    ).stdout.replace("\n", " ")
    for words in ("Sequence: 2 requests", "Aim: objective lower by", "Against erasing at once"):
        assert words in shown
    assert "Retrain:" not in shown
    record = Session.open(folder).records[-1]
    assert record.anchor == "first"
    third = answer("unlearn", folder, *ids(6), "--check-every", "2", *method)
    assert third["drift"]["check"] is None


def test_advice_to_retrain_is_printed_and_in_the_json(folder: Path) -> None:
    """More than a fifth of the examples in one request."""
    found = answer("unlearn", folder, "--random", "0.25", *QUICK)
    assert "SHARE" in found["drift"]["advice"]
    shown = run("unlearn", folder, "--ids", str(Session.open(folder).retained[0]), *QUICK).stdout
    assert "Retrain: more of the data is gone" in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--ids", "99999"], 2, "1 of 1 ids are unknown, first '99999': --ids number 1"),
        (["--ids", "one"], 2, "unknown"),
        (["--ids", "1,2"], 2, "unknown, first '1,2'.*--ids 1 --ids 2"),
        (["--ids", "1", "--ids", "1"], 2, "repeated.*--ids number 1 and 2"),
        (["--ids", ""], 2, "unknown, first ''"),
        (["--ids=--5"], 2, "unknown, first '--5'"),
        (["--ids", "\udcff"], 2, "unknown"),
        (["--ids-file", "nowhere.txt"], 2, "Cannot read ids"),
        (["--ids", "1", "--column", "a"], 2, "--column is of --ids-file"),
        (["--ids", "1", "--request", ""], 2, "request's name is empty"),
        ([], 2, "named in 0 ways"),
        (["--ids", "1", "--random", ".1"], 2, "named in 2 ways"),
        (["--random", "1"], 2, "no example to retain"),
        (["--random", "2"], 2, "share of 2"),
        (["--classes", "zero"], 2, "no classes"),
        (["--classes", "12"], 2, "class 12"),
        (["--groups", "author 1"], 2, "Task digits has no groups"),
        (["--classes", "1", "--share", "0"], 2, "share of 0"),
        (["--random", ".1", "--share", ".5"], 2, "--share is of --classes"),
        (["--ids", "1", "--method", "stocurenuu"], 2, "'stocurenu'"),
        (["--ids", "1", "--set", "max_stps=3"], 2, "'max_steps'"),
        (["--ids", "1", "--set", "max_steps"], 2, "has no value"),
        (["--ids", "1", "--set", "max_steps=many"], 2, "does not fit"),
        (["--ids", "1", "--set", "max_steps=0"], 2, "1 or more"),
        (["--ids", "1", "--set", "penalty=-1"], 2, "penalty"),
        (["--ids", "1", "--only", "nowhere"], 2, "matches no parameter"),
        (["--ids", "1", "--seed", "x"], 2, "seed"),
        (["--ids", "1", "--anchor", "second"], 2, "anchor"),
        (["--ids", "1", "--check-every", "-1"], 2, "check-every"),
        (["--ids", "1", "--anchor", "first", "--method", "fine-tune"], 2, "does not minimise"),
        (["--ids", "1", "--method", "fine-tune", "--set", "learning_rate=1e30"], 5, "diverged|NaN"),
    ],
)
def test_a_refused_request_has_its_exit_code_and_changes_nothing(
    folder: Path, words: list[str], code: int, message: str
) -> None:
    before = state_of(folder)
    result = run("unlearn", folder, *words, "--json")
    assert result.exit_code == code, result.output
    assert re.search(message, result.stderr)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert state_of(folder) == before


def test_an_error_is_two_lines_problem_and_remedy(folder: Path) -> None:
    result = run("unlearn", folder, "--ids", "99999")
    problem, remedy = result.stderr.strip().splitlines()
    assert problem == "error: 1 of 1 ids are unknown, first '99999': --ids number 1."
    assert remedy == "try: the numbers 0 to 1436."


def test_a_debugger_gets_the_error_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURENU_DEBUG", "1")
    result = run("unlearn", folder, "--ids", "99999")
    assert isinstance(result.exception, BadRequest)


def test_broken_folders_missing_data_and_unknown_tasks_have_their_codes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ledger.sqlite").write_text("{" * 200)
    for command in (["unlearn", folder, "--ids", "1"], ["evaluate", folder], ["spectrum", folder]):
        result = run(*command)
        assert (result.exit_code, "not a database" in result.stderr) == (4, True)
    assert run("evaluate", tmp_path / "nothing").exit_code == 4
    assert not (tmp_path / "nothing").exists()
    monkeypatch.setenv("CURENU_FASHION_MNIST", str(tmp_path))
    missing = run("train", "fashion-mnist", tmp_path / "new")
    assert missing.exit_code == 3
    assert "dataset-fashion-mnist" in missing.stderr
    for option, message in {
        "network=vgg": "network='vgg'",
        "epochs=few": "does not fit",
        "epoch=3": "'epochs'",
        "network": "has no value",
    }.items():
        refused = run("train", "fashion-mnist", tmp_path / "new", "--option", option)
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.stderr
    unknown = run("train", "digit", tmp_path / "new")
    assert unknown.exit_code == 2
    assert "try: 'digits'" in unknown.stderr
    assert run("train", "digits", tmp_path / "new", "--examples", "9").exit_code == 2
    assert run("train").exit_code == 2
    assert not (tmp_path / "new").exists()


def test_an_interrupt_has_its_own_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = state_of(folder)
    monkeypatch.setattr(FineTune, "__call__", interrupt)
    assert run("unlearn", folder, "--ids", "1", *QUICK).exit_code == 130
    assert state_of(folder) == before


def test_a_users_own_task_is_trained_and_opened_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import dataclasses\n"
        "from curenu.tasks import load_task\n"
        "def small(examples=None, epochs: int = 2):\n"
        "    task = load_task('digits')\n"
        "    recipe = dataclasses.replace(task.recipe, epochs=epochs)\n"
        "    return dataclasses.replace(task, name='mine', recipe=recipe)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["train", "mine.py:small", "run", "--examples", "50", "--option", "epochs=1"]
    made = answer(*words)
    assert made["title"] == "mine"
    assert made["options"] == {"epochs": 1, "examples": 50}
    assert made["recipe"]["epochs"] == 1
    twice = run(*words, "--option", "examples=40")
    assert (twice.exit_code, "given twice" in twice.stderr) == (2, True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert answer("unlearn", tmp_path / "run", "--ids", "1", *QUICK)["positions"] == [1]


def test_the_spectrum_of_a_trained_network_is_degenerate(folder: Path) -> None:
    sampled = answer("spectrum", folder, "--products", "60", "--sample", "300")
    assert sampled["examples"] == 300
    assert not sampled["exact"]
    assert sampled["parameters"] == 2410
    assert sampled["lambda_max"]["value"] > 0
    assert sampled["lambda_max"]["residual"] >= 0
    assert 0 < sampled["rank"] < 0.7 * 2410
    assert 0.3 < sampled["share_not_positive"] < 1
    assert sampled["lambda_min"]["value"] < 0.01 * sampled["lambda_max"]["value"]
    assert sum(sampled["weights"]) == pytest.approx(1)
    text = run("spectrum", folder, "--products", "5", "--sample", "50").stdout
    assert "smallest eigenvalue" in text
    assert "Density" in text


@pytest.mark.slow
def test_the_dense_spectrum_agrees_with_the_krylov_one(folder: Path) -> None:
    krylov = answer("spectrum", folder, "--products", "40")
    dense = answer("spectrum", folder, "--dense")
    assert dense["exact"]
    for end in ("lambda_min", "lambda_max"):
        bound = krylov[end]["residual"] + 1e-3 * abs(dense[end]["value"])
        assert abs(krylov[end]["value"] - dense[end]["value"]) <= bound


def test_methods_are_listed_with_their_arguments() -> None:
    listed = answer("methods")
    assert [entry["name"] for entry in listed] == list(METHODS)
    sto = next(entry for entry in listed if entry["name"] == "stocurenu")
    assert sto["arguments"]["sample_size"] == StoCuReNU().sample_size
    assert sto["summary"].startswith("Cubic Newton steps")
    assert sto["promise"].startswith("convergence certificate")
    assert "pseudo-inverse-newton" in run("methods").stdout


def test_one_method_is_shown_with_its_arguments_and_an_unknown_one_is_refused() -> None:
    alone = answer("methods", "damped-newton")
    assert alone["arguments"] == {"damping": 0.1, "max_products": None, "hvp_size": None}
    shown = run("methods", "damped-newton").stdout
    assert "damping" in shown
    assert "0.1" in shown
    failed = run("methods", "damped")
    assert failed.exit_code == 2
    assert "damped-newton" in failed.stderr


def test_every_method_says_what_it_costs() -> None:
    assert set(ABOUT) == set(METHODS)


def test_settings_are_typed() -> None:
    chosen = build_method("stocurenu", ["penalty=5", "hvp_size=none", "solver=eigen"])
    assert chosen == StoCuReNU(penalty=5.0, hvp_size=None, solver="eigen")
    assert build_method("stocurenu", ["penalty=auto"]) == StoCuReNU()
    step = build_method("damped-newton", ["max_products=7", "damping=1e-2"])
    assert step == DampedNewton(damping=0.01, max_products=7)


def test_names_complete() -> None:
    assert complete_method("sto") == ["stocurenu"]
    assert complete_task("f") == ["fashion-mnist"]
    assert set(complete_method("")) == set(METHODS)


def test_the_command_line_names_the_tasks_that_there_are() -> None:
    assert list(TASKS) == list(TASK_NAMES)
