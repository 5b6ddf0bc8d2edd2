"""The commands that show, check and clean a run, and the codes they end with."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from typer.testing import CliRunner, Result

from curenu.cli import app
from curenu.runs import Session, granting
from curenu.runs.folder_store import FolderStore
from curenu.runs.migration import migrate
from curenu.runs.records import pack
from curenu.runs.verify import verify
from tests.runs.runs import SHORT, sql, state_of

TASK = """
import dataclasses
from tests.runs.runs import tiny as made

def tiny():
    return made()
"""
QUICK = ["--method", "fine-tune", "--set", "epochs=1"]
DIVERGING = ["--method", "fine-tune", "--set", "epochs=3", "--set", "learning_rate=300"]


def run(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def answer(*words: str | Path) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    (place / "own.py").write_text(TASK)
    Session.create(place / "run", f"{place / 'own.py'}:tiny")
    session = Session.open(place / "run")
    session.unlearn(["person 1"], SHORT, request="Ann [bold]Lee[/] $x")
    return place / "run"


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.parent, tmp_path / "place")) / "run"


def test_an_attempt_has_its_own_code_and_can_be_accepted_or_left_out(folder: Path) -> None:
    failed = run("unlearn", folder, "--classes", "1", "--share", "0.2", *DIVERGING)
    assert failed.exit_code == 6, failed.output
    assert "failed to erase" in failed.stdout
    assert "stay in the retain set" in failed.stdout
    assert "curenu retrain" in failed.stderr
    assert len(Session.open(folder).erased) == 1
    shown = answer("retrain", folder, "--without", "2")
    assert shown["kind"] == "retrain"
    assert len(Session.open(folder).erased) == 1 + shown["count"] > 1
    record = answer("unlearn", folder, "--random", "0.1", *DIVERGING, "--accept")
    assert (record["granted"], record["accepted"], record["status"]) == (True, True, "DIVERGED")
    refused = run("retrain", folder, "--without", "1")
    assert (refused.exit_code, "no failed attempt" in refused.stderr) == (2, True)


def test_a_name_with_markup_is_printed_as_it_is(folder: Path) -> None:
    result = run("unlearn", folder, "--random", "0.1", "--request", "[red]$1 [/]", *QUICK)
    assert result.exit_code == 0, result.output
    assert "Request '[red]$1 [/]': erased" in result.stdout
    assert "[red]$1 [/]" in run("log", folder).stdout
    assert run("unlearn", folder, "--random", "0.1", "--request", "").exit_code == 2


def test_a_retraining_is_shown_as_one_and_is_no_request(folder: Path) -> None:
    assert run("retrain", folder).exit_code == 0
    text = run("show", folder).stdout
    assert "Requests: 1 granted" in text
    assert "2. trained anew without what was erased" in text
    assert "None" not in text


def test_the_log_shows_every_record_and_the_head_without_running_the_task(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Session.open(folder).head.hash
    monkeypatch.setattr("curenu.tasks.function_of", lambda name: pytest.fail(name))
    assert run("verify", folder).exit_code == 0
    text = run("log", folder).stdout
    for words in ("trained", "erased", "Ann [bold]Lee[/] $x", "fine-tune", head):
        assert words in text
    told = answer("log", folder)
    assert told["head"] == head
    assert [record["number"] for record in told["records"]] == [0, 1]


def test_verifying_names_every_fault_and_ends_with_four(folder: Path) -> None:
    head = Session.open(folder).head.hash
    assert run("verify", folder).exit_code == 0
    assert answer("verify", folder, "--head", head)["faults"] == []
    assert run("verify", folder, "--head", "abc").exit_code == 2
    (weights,) = (p for p in folder.glob("weights/*") if Session.open(folder).current in p.name)
    weights.write_bytes(pack({"weight": torch.ones(1)}).content)
    sql(folder, "UPDATE evidence SET body = replace(body, 'granted\":true', 'granted\":false')")
    result = run("verify", folder, "--head", "0" * 64)
    assert result.exit_code == 4
    for words in ("Record 1 was changed", "was changed: its content", "is not in this ledger"):
        assert words in result.stdout
    assert run("log", folder).exit_code == 4


def test_a_changed_oracle_is_named_and_no_results_are_made_with_it(folder: Path) -> None:
    assert run("evaluate", folder).exit_code == 0
    results = {name: (folder / name).read_bytes() for name in ("results.json", "report.html")}
    path = min((folder / "oracles").iterdir())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    checked = run("verify", folder)
    assert (checked.exit_code, f"{path} was changed" in checked.stdout) == (4, True)
    assert "everything fits" not in checked.stdout
    refused = run("evaluate", folder, "--json")
    told = json.loads(refused.stderr)
    assert (refused.exit_code, refused.stdout, told["error"]) == (4, "", "RunBroken")
    assert str(path) in told["problem"]
    assert {name: (folder / name).read_bytes() for name in results} == results
    path.unlink()
    assert run("evaluate", folder).exit_code == run("verify", folder).exit_code == 0


def test_purging_says_what_went(folder: Path) -> None:
    gone = answer("purge", folder)
    assert [disposal["kind"] for disposal in gone["disposed"]] == ["weights"]
    assert "nothing to remove" in run("purge", folder).stdout
    assert answer("purge", folder, "--subjects")["subjects"]
    text = run("log", folder).stdout
    assert "Ann" not in text
    assert "(deleted)" in text
    found = run("evaluate", folder)
    assert (found.exit_code, "disposed of" in found.stdout) == (0, True)


def test_a_run_in_use_has_another_code_than_a_broken_one(folder: Path) -> None:
    with FolderStore(folder).exclusive():
        busy = run("unlearn", folder, "--random", "0.1", *QUICK)
    assert (busy.exit_code, "in use" in busy.stderr) == (7, True)


@pytest.mark.parametrize(
    ("command", "work"),
    [
        (["unlearn", "--ids", "person 2", "--request", "second", *QUICK], "erase"),
        (["retrain"], "timed_training"),
    ],
)
def test_where_another_writer_was_first_the_code_says_do_it_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], work: str
) -> None:
    """The lock file is deleted in mid-work, which lets another writer in, who grants a request."""
    name, *options = command
    working, calls = getattr(granting, work), []

    def interrupted(*args: Any, **others: Any) -> Any:
        calls.append(work)
        if len(calls) == 1:
            monkeypatch.setattr(granting, work, working)
            (folder / "lock").unlink()
            Session.open(folder).unlearn(["person 3"], SHORT, request="first")
        return working(*args, **others)

    monkeypatch.setattr(granting, work, interrupted)
    moved = run(name, folder, *options, "--json")
    told = json.loads(moved.stderr.splitlines()[-1])
    assert (moved.exit_code, moved.stdout, told["exit_code"]) == (8, "", 8)
    assert (told["error"], "The run is at record 2" in told["problem"]) == ("RunMoved", True)
    assert "the same again" in told["remedy"]
    store = FolderStore(folder)
    assert [record.request for record in Session.open(folder).records[1:]] == ["first"]
    assert verify(store) == (store._head(), [])
    again = answer(name, folder, *options)
    assert (again["number"], again["granted"]) == (3, True)
    assert calls == [work]


def old_run(folder: Path) -> None:
    """The folder as format 1 had it: lines of JSON that name everything."""
    session = Session.open(folder)
    names = ("request", "number", "positions", "ids", "method", "arguments", "only", "seed")
    names += ("before", "after", "status", "cost", "update_norm", "certificate", "trace", "notes")
    names += ("anchor", "penalty_before", "penalty", "drift", "time")
    lines = [
        json.dumps({name: record.model_dump(mode="json")[name] for name in names})
        for record in session.records
    ]
    (folder / "requests.jsonl").write_text("".join(line + "\n" for line in lines))
    (folder / "ledger.sqlite").unlink()
    content = tomllib.loads((folder / "task.toml").read_text()) | {"format": 1, "data": "0" * 64}
    del content["keep"], content["fingerprint"]
    (folder / "task.toml").write_text(tomli_w.dumps(content))


def test_a_run_of_format_1_is_refused_with_the_remedy_and_taken_over(folder: Path) -> None:
    expected = Session.open(folder).records[0]
    old_run(folder)
    refused = run("unlearn", folder, "--random", "0.1", *QUICK)
    assert (refused.exit_code, f"curenu migrate {folder}" in refused.stderr) == (4, True)
    head = answer("migrate", folder)["head"]
    session = Session.open(folder)
    (record,) = session.records
    for name in ("request", "positions", "ids", "before", "after", "time", "drift", "trace"):
        assert getattr(record, name) == getattr(expected, name), name
    assert session.head.hash == head
    assert verify(session.store, head=head)[1] == []
    session.unlearn(["person 5"], SHORT)
    again = run("migrate", folder)
    assert (again.exit_code, "format 2, not 1" in again.stderr) == (4, True)


def test_a_migration_that_was_killed_can_be_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_run(folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FolderStore, "_founds", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        migrate(folder)
    assert "format = 1" in (folder / "task.toml").read_text()
    migrate(folder)
    assert Session.open(folder).erased == (1,)


def test_an_old_ledger_that_is_no_chain_is_not_taken_over(folder: Path) -> None:
    old_run(folder)
    text = (folder / "requests.jsonl").read_text()
    (folder / "requests.jsonl").write_text(text.replace('"number": 1', '"number": 2'))
    before = state_of(folder)
    refused = run("migrate", folder)
    assert (refused.exit_code, "does not follow" in refused.stderr) == (4, True)
    assert state_of(folder) == before
