"""The stores of runs: what is written is whole, what is read is checked."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curenu.cost import Cost
from curenu.erasure import Certificate, StepRecord
from curenu.errors import Disposed, RunBroken, RunBusy, RunMoved, UnsupportedModel
from curenu.runs.evidence import Disposal, Head, Measures, record_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.ledger import Ledger
from curenu.runs.memory_store import MemoryStore
from curenu.runs.reading import take
from curenu.runs.records import digest, pack, plain
from curenu.runs.store import RunStore
from curenu.runs.verify import verify
from curenu.status import Status
from tests.runs.runs import FIRST, founding, granted, sql, state_of, weights


def head_of(store: RunStore) -> Head:
    last = store.lines()[-1]
    return Head(last.number, last.hash)


def add(store: RunStore, **changes: Any) -> None:
    head = head_of(store)
    store.commit(granted(head, **changes), weights(head.number + 1), head=head.hash)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "run")
    made.create(*founding())
    add(made)
    return made


@pytest.fixture(params=["folder", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    made = MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "run")
    made.create(*founding())
    add(made)
    return made


def test_what_is_written_is_read_again(either: RunStore) -> None:
    assert either.description().options == {"examples": 10}
    assert either.description().recipe == {"weight_decay": 1e-4, "epochs": 3}
    first, second = either.lines()
    assert (first.number, second.number) == (0, 1)
    record = record_of(second, either.measures()[1])
    assert (record.request, record.ids, record.positions) == ("request-1", ("person 1",), (1,))
    assert record.previous == first.hash
    assert torch.equal(either.weights(weights(1).name)["weight"], FIRST["weight"] + 1)
    assert either.lines(1) == [second]
    assert either.lines(0, 1) == [first]
    assert verify(either) == (head_of(either), [])


def test_a_record_that_does_not_follow_is_refused_and_changes_nothing(either: RunStore) -> None:
    before = either.lines()
    old, now = Head(0, before[0].hash), head_of(either)
    for entry, head in (
        (granted(old), old.hash),
        (granted(old), now.hash),
        (granted(now), old.hash),
        (granted(Head(now.number + 1, now.hash)), now.hash),
    ):
        with pytest.raises(RunMoved, match="The run is at record 1"):
            either.commit(entry, weights(7), head=head)
    assert either.lines() == before
    with pytest.raises((RunBroken, Disposed)):
        either.weights(weights(7).name)


def test_what_is_disposed_of_is_gone_and_its_record_says_so(either: RunStore) -> None:
    either.networks.write("one.safetensors", b"trained")
    either.networks.write("outputs/two.safetensors", b"said")
    (oracle, _) = (held for held in either.holdings() if held.kind == "oracle")
    assert (oracle.name, oracle.disposed) == ("one.safetensors", False)
    gone = (
        Disposal(kind="weights", name=weights(0).name),
        Disposal(kind="oracle", name=oracle.name),
    )
    head = head_of(either)
    entry = granted(
        head, measures=Measures(disposed=gone), subjects=None, kind="disposal",
        before=weights(1).name, after=weights(1).name, granted=False, status=None,
    )  # fmt: skip
    either.commit(entry, None, head=head.hash, forget=[1])
    with pytest.raises(Disposed, match="disposed of"):
        either.weights(weights(0).name)
    assert either.networks.names() == ("outputs/two.safetensors",)
    assert either.lines()[1].subjects is None
    assert {held.name for held in either.holdings() if held.disposed} == {g.name for g in gone}


def test_one_writer_at_a_time_is_busy_and_not_broken(either: RunStore) -> None:
    with either.exclusive(), pytest.raises(RunBusy, match="in use"), either.exclusive():
        pytest.fail("two writers")
    with either.exclusive():
        pass


def test_the_same_weights_have_the_same_name() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    assert pack({"a": base.T, "b": base}).name == pack({"b": base, "a": base.T.clone()}).name
    assert pack({"a": base}).name != pack({"a": base + 1}).name
    assert pack({"tied": base, "other": base}).content


def test_a_state_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="'extra'"):
        pack({"a": torch.zeros(1), "extra": 3})


def test_records_are_plain_json_and_the_evidence_names_nobody(store: FolderStore) -> None:
    measures = Measures(
        arguments={"solver": {"type": "LanczosSolver"}},
        cost=Cost(gradients=2),
        certificate=Certificate(1e-3, -0.1, 1e-4, 2.0, 9, 9),
        trace=(StepRecord(value=0.5, rho=float("-inf")),),
    )
    add(store, measures=measures, status=Status.STEP_LIMIT)
    line = store.lines()[-1]
    told = json.loads(store.measures()[2], parse_constant=lambda word: pytest.fail(word))
    assert told["trace"][0]["rho"] == "-Infinity"
    assert json.loads(line.body)["status"] == "STEP_LIMIT"
    assert "person" not in line.body + store.measures()[2]
    assert "request-2" not in line.body + store.measures()[2]
    assert record_of(line, store.measures()[2]).trace == measures.trace


def test_arguments_become_plain_values() -> None:
    nested = plain({"step": StepRecord(value=1.0), "many": (1, None), "kind": Path})
    assert nested["step"]["type"] == "StepRecord"
    assert nested["step"]["value"] == 1.0
    assert nested["many"] == [1, None]
    assert json.dumps(nested)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("task.toml", Path.unlink, "no task.toml"),
        ("task.toml", lambda p: p.write_text("= ="), "no valid TOML"),
        ("task.toml", lambda p: p.write_bytes(b"\xff\xfe"), "no valid TOML"),
        ("task.toml", lambda p: p.write_text("format = 1\n"), "format 1, not 2"),
        ("task.toml", lambda p: p.write_text('title = "x"\n'), "format None"),
        ("task.toml", lambda p: p.write_text("format = 2\n"), "title: Field required"),
        ("ledger.sqlite", Path.unlink, "Cannot read"),
        ("ledger.sqlite", lambda p: p.write_bytes(b"no database" * 100), "not a database"),
        ("ledger.sqlite", lambda p: p.write_bytes(b""), "no such table"),
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
        store.description()
        take(Ledger(), store.lines())
        store.weights(weights(1).name)
    assert str(store.folder) in caught.value.problem
    assert caught.value.remedy
    assert state_of(store.folder) == before


def test_a_later_format_is_refused(store: FolderStore) -> None:
    sql(store.folder, "PRAGMA user_version = 9")
    with pytest.raises(RunBroken, match="format 9, not 2"):
        store.lines()


def test_a_file_with_the_right_hash_but_no_weights_is_refused(store: FolderStore) -> None:
    name = digest(b"no weights")
    (store.folder / "weights" / f"{name}.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunBroken, match="no safetensors"):
        store.weights(name)


def test_a_foreign_folder_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    before = state_of(tmp_path)
    with pytest.raises(RunBroken, match=r"thesis\.tex"):
        FolderStore(tmp_path).create(*founding())
    with pytest.raises(RunBroken, match=r"no task\.toml"):
        FolderStore(tmp_path).description()
    with pytest.raises(RunBroken, match="is a file"):
        FolderStore(tmp_path / "thesis.tex").check_free()
    assert state_of(tmp_path) == before


def test_a_run_is_not_overwritten(either: RunStore) -> None:
    before = either.lines()
    with pytest.raises(RunBroken, match="already holds a run"):
        either.create(*founding(seed=9))
    assert either.lines() == before


def refuse(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", [1, 2])
def test_a_full_disk_leaves_the_state_before(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The first and the second flush fail: that of the weights, and that of their folder."""
    before, flush, calls = store.lines(), os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        refuse() if len(calls) == call else flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunBroken, match="No space left"):
        add(store)
    monkeypatch.undo()
    assert store.lines() == before
    assert verify(store)[1] == []
    add(store)
    assert verify(store)[1] == []


def test_a_failure_after_the_commit_says_that_the_record_is_there(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store._files.write

    def late(*arguments: Any) -> None:
        write(*arguments)
        raise RunBroken("Cannot flush.", "mending it.")

    monkeypatch.setattr(store._files, "write", late)
    with pytest.raises(RunBroken, match="Record 2 was written nevertheless"):
        add(store)
    assert len(store.lines()) == 3


def test_only_what_the_ledger_announced_is_ever_removed(store: FolderStore) -> None:
    """Weights of a killed writer go; whatever else lies there stays."""
    own = store.folder / "weights" / f"{weights(7).name}.safetensors"
    partial = own.with_name(own.name + ".partial")
    for path in (own, partial):
        path.write_bytes(weights(7).content)
    sql(store.folder, "INSERT INTO files VALUES ('weights', ?, 'pending')", weights(7).name)
    others = [
        store.folder / "weights" / "exported.safetensors",
        store.folder / "weights" / f"{weights(8).name}.safetensors",
        store.folder / "thesis.partial",
        store.folder / "weights" / "upload.partial",
    ]
    for path in others:
        path.write_bytes(b"mine")
    add(store)
    assert not own.exists()
    assert not partial.exists()
    assert all(path.read_bytes() == b"mine" for path in others)
    assert verify(store)[1] == []


def test_an_announcement_that_another_writer_cleared_is_made_again(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, calls = store._database.writing, []

    def cleared() -> Any:
        calls.append(1)
        if len(calls) == 2:  # between the announcement and the transaction that writes
            FolderStore(store.folder).clear()
        return writing()

    monkeypatch.setattr(store._database, "writing", cleared)
    add(store)
    assert len(calls) == 4
    assert verify(store) == (head_of(store), [])


def test_files_are_for_their_owner_alone(store: FolderStore) -> None:
    with store.exclusive():
        pass
    for path in store.folder.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_ledger_that_is_a_link_is_followed_and_stays_one(
    store: FolderStore, tmp_path: Path
) -> None:
    place = (store.folder / "ledger.sqlite").rename(tmp_path / "elsewhere.sqlite")
    (store.folder / "ledger.sqlite").symlink_to(place)
    add(store)
    assert (store.folder / "ledger.sqlite").is_symlink()
    assert len(store.lines()) == 3
    assert verify(store)[1] == []


def test_without_the_lock_file_the_second_of_two_writers_is_told_to_begin_again(
    store: FolderStore,
) -> None:
    other = FolderStore(store.folder)
    head = head_of(store)
    with store.exclusive():
        (store.folder / "lock").unlink()
        with other.exclusive():
            other.commit(granted(head), weights(2), head=head.hash)
        with pytest.raises(RunMoved):
            store.commit(granted(head), weights(2), head=head.hash)
    assert len(store.lines()) == 3
    assert verify(store)[1] == []


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
    with pytest.raises(RunBusy, match="in use"), store.exclusive():
        pytest.fail("two writers")
    other.kill()
    other.join(60)
    with store.exclusive():
        add(store)
    assert len(store.lines()) == 3


def test_deleted_subjects_are_in_no_byte_of_the_ledger(store: FolderStore) -> None:
    head = head_of(store)
    entry = granted(
        head, subjects=None, kind="disposal", before=weights(1).name, after=weights(1).name,
        granted=False, status=None,
    )  # fmt: skip
    ledger = store.folder / "ledger.sqlite"
    salt = (store.lines()[1].salt or "").encode()
    assert b"person 1" in ledger.read_bytes()
    store.commit(entry, None, head=head.hash, forget=[1])
    for word in (b"person 1", b"request-1", salt):
        assert word not in ledger.read_bytes()
    assert not list(store.folder.glob("ledger.sqlite-*"))
