"""The run folder: what is written is whole, what is read is checked."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curenu.cost import Cost
from curenu.erasure import Certificate, StepRecord
from curenu.errors import RunBroken, UnsupportedModel
from curenu.runs.records import Packed, RequestRecord, RunDescription, digest, pack, plain
from curenu.runs.store import FolderStore
from curenu.status import Status
from tests.runs.runs import state_of

FIRST = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def weights(number: int) -> Packed:
    return pack({name: tensor + number for name, tensor in FIRST.items()})


def description(**changes: Any) -> RunDescription:
    values: dict[str, Any] = {
        "task": "digits",
        "title": "digits",
        "options": {"examples": 10},
        "recipe": {"weight_decay": 1e-4, "epochs": 3},
        "seed": 3,
        "examples": 10,
        "data": digest(b"data"),
        "start": weights(0).name,
    }
    return RunDescription(**(values | changes))


def record(number: int, **changes: Any) -> RequestRecord:
    values: dict[str, Any] = {
        "request": f"request-{number}",
        "number": number,
        "positions": (number,),
        "ids": (f"person {number}",),
        "method": "curenu",
        "arguments": {"penalty": "auto", "solver": {"type": "LanczosSolver"}},
        "seed": 5,
        "before": weights(number - 1).name,
        "after": weights(number).name,
        "status": Status.CONVERGED,
        "cost": Cost(gradients=2, hvps=7, examples=70, seconds=0.5),
        "update_norm": 0.1,
        "certificate": Certificate(1e-3, -0.1, 1e-4, 2.0, 9, 9),
        "trace": (StepRecord(value=0.5, rho=float("-inf")), StepRecord(damping=0.2)),
    }
    return RequestRecord(**(values | changes))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "run")
    made.create(description(), weights(0))
    made.commit(record(1), weights(1))
    return made


def test_what_is_written_is_read_again(store: FolderStore) -> None:
    again = FolderStore(store.folder)
    assert again.description().options == {"examples": 10}
    assert again.description().recipe == {"weight_decay": 1e-4, "epochs": 3}
    written = record(1)
    assert again.ledger() == (written.model_copy(update={"time": again.ledger()[0].time}),)
    assert torch.equal(again.weights(weights(1).name)["weight"], FIRST["weight"] + 1)


def test_the_same_weights_have_the_same_name() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    assert pack({"a": base.T, "b": base}).name == pack({"b": base, "a": base.T.clone()}).name
    assert pack({"a": base}).name != pack({"a": base + 1}).name
    assert pack({"tied": base, "other": base}).content


def test_a_state_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="'extra'"):
        pack({"a": torch.zeros(1), "extra": 3})


def test_ledger_lines_are_plain_json(store: FolderStore) -> None:
    store.commit(record(2), weights(2))
    lines = (store.folder / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["request"] for line in lines] == ["request-1", "request-2"]
    first = json.loads(lines[0], parse_constant=lambda word: pytest.fail(word))
    assert first["status"] == "CONVERGED"
    assert first["trace"][0]["rho"] == "-Infinity"


def test_arguments_become_plain_values() -> None:
    nested = plain({"step": StepRecord(value=1.0), "many": (1, None), "kind": Path})
    assert nested["step"]["type"] == "StepRecord"
    assert nested["step"]["value"] == 1.0
    assert nested["many"] == [1, None]
    assert json.dumps(nested)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def rewrite(key: str, value: Any) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {key: value}) + "\n")

    return damage


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("task.toml", Path.unlink, "no task.toml"),
        ("task.toml", lambda p: p.write_text("= ="), "no valid TOML"),
        ("task.toml", lambda p: p.write_bytes(b"\xff\xfe"), "no valid TOML"),
        ("task.toml", lambda p: p.write_text("format = 2\n"), "format 2, not 1"),
        ("task.toml", lambda p: p.write_text('title = "x"\n'), "format None"),
        ("task.toml", lambda p: p.write_text("format = 1\n"), "title: Field required"),
        ("requests.jsonl", Path.unlink, "Cannot read"),
        ("requests.jsonl", cut, "line 1: Invalid JSON"),
        ("requests.jsonl", lambda p: p.write_text("[1]\n"), "line 1"),
        ("requests.jsonl", lambda p: p.write_text("\n"), "line 1"),
        ("requests.jsonl", rewrite("number", 2), "does not follow"),
        ("requests.jsonl", rewrite("before", "0" * 64), "does not follow"),
        ("requests.jsonl", rewrite("after", "../../x"), "line 1: after"),
        ("requests.jsonl", rewrite("surprise", 1), "surprise"),
        ("requests.jsonl", lambda p: p.write_text(2 * p.read_text()), "line 2"),
        (f"weights/{weights(1).name}.safetensors", Path.unlink, "Cannot read"),
        (f"weights/{weights(1).name}.safetensors", cut, "damaged"),
        (f"weights/{weights(1).name}.safetensors", lambda p: p.write_bytes(b""), "damaged"),
    ],
)
def test_a_damaged_folder_says_what_and_where(
    store: FolderStore, name: str, damage: Callable[[Path], Any], words: str
) -> None:
    damage(store.folder / name)
    before = state_of(store.folder)
    with pytest.raises(RunBroken, match=words) as caught:
        for granted in store.ledger():
            store.weights(granted.after)
    assert str(store.folder) in caught.value.problem
    assert caught.value.remedy
    assert state_of(store.folder) == before


def test_a_name_taken_twice_breaks_the_ledger(store: FolderStore) -> None:
    store.commit(record(2, request="request-1"), weights(2))
    with pytest.raises(RunBroken, match="there twice"):
        store.ledger()


def test_a_file_with_the_right_hash_but_no_weights_is_refused(store: FolderStore) -> None:
    name = digest(b"no weights")
    (store.folder / "weights" / f"{name}.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunBroken, match="no safetensors"):
        store.weights(name)


def test_a_foreign_folder_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    before = state_of(tmp_path)
    with pytest.raises(RunBroken, match=r"thesis\.tex"):
        FolderStore(tmp_path).create(description(), weights(0))
    with pytest.raises(RunBroken, match=r"no task\.toml"):
        FolderStore(tmp_path).description()
    with pytest.raises(RunBroken, match="is a file"):
        FolderStore(tmp_path / "thesis.tex").check_free()
    assert state_of(tmp_path) == before


def test_a_run_is_not_overwritten(store: FolderStore) -> None:
    before = state_of(store.folder)
    with pytest.raises(RunBroken, match="already holds a run"):
        store.create(description(seed=9), weights(4))
    assert state_of(store.folder) == before


def test_a_creation_that_was_killed_can_be_made_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "run")
    with store.exclusive():
        store.create(description(), weights(0))
    (store.folder / "task.toml").rename(store.folder / "task.toml.partial")
    store.create(description(seed=8), weights(0))
    assert store.description().seed == 8


def refuse(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_state_before(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The n-th flush fails: weights, their folder, ledger, its folder after the rename."""
    before, flush, calls = state_of(store.folder), os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        refuse() if len(calls) == call else flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunBroken, match="No space left"):
        store.commit(record(2), weights(2))
    monkeypatch.undo()
    if call < 4:
        assert state_of(store.folder) == before
    else:  # the rename was the commit: the request is on record, with its weights
        assert store.weights(store.ledger()[-1].after)["bias"][0] == 2


def test_leftovers_of_a_killed_run_are_harmless_and_swept(store: FolderStore) -> None:
    orphan = store.folder / "weights" / f"{weights(7).name}.safetensors"
    orphan.write_bytes(weights(7).content)
    half = store.folder / "requests.jsonl.partial"
    half.write_text('{"request": "half')
    assert len(store.ledger()) == 1
    store.commit(record(2), weights(2))
    assert not orphan.exists()
    assert not half.exists()
    assert store.weights(weights(1).name)["bias"][0] == 1


def hold(folder: Path, held: Any, stay: Any) -> None:
    with FolderStore(folder).exclusive():
        held.set()
        stay.wait(60)


def test_only_one_process_writes_and_a_killed_one_leaves_no_lock(store: FolderStore) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, stay = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(store.folder, held, stay))
    other.start()
    assert held.wait(60)
    with pytest.raises(RunBroken, match="in use"), store.exclusive():
        pytest.fail("two writers")
    other.kill()
    other.join(60)
    with store.exclusive():
        store.commit(record(2), weights(2))
    assert len(store.ledger()) == 2


def test_an_oracle_is_found_only_under_its_own_configuration(store: FolderStore) -> None:
    asked = {"seed": 1, "retained": "abc", "recipe": {"epochs": 3}}
    assert store.oracle(asked) is None
    store.keep_oracle(asked, weights(5), 2.5)
    found = store.oracle(asked)
    assert found is not None
    assert found[0].seconds == 2.5
    assert found[1]["bias"][0] == 5
    assert store.oracle(asked | {"seed": 2}) is None


def test_a_damaged_oracle_is_refused(store: FolderStore) -> None:
    asked = {"seed": 1}
    store.keep_oracle(asked, weights(5), 2.5)
    (file,) = (store.folder / "oracles").glob("*.safetensors")
    cut(file)
    with pytest.raises(RunBroken, match="damaged"):
        store.oracle(asked)
    (note,) = (store.folder / "oracles").glob("*.json")
    note.write_text(note.read_text().replace('"seed": 1', '"seed": 4'))
    with pytest.raises(RunBroken, match="another configuration"):
        store.oracle(asked)


def test_results_replace_each_other_whole(store: FolderStore) -> None:
    store.write("results.json", "{}")
    assert store.write("results.json", "[1]").read_text() == "[1]"
    assert not list(store.folder.glob("*.partial"))
