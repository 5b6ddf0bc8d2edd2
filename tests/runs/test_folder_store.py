"""A run folder on the disk: damage is named, failures change nothing, nothing foreign goes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curenu.errors import RunBroken
from curenu.runs.folder_store import FolderStore
from curenu.runs.ledger import Ledger
from curenu.runs.reading import take
from curenu.runs.records import digest
from curenu.runs.verify import verify
from tests.runs.runs import add, founding, granted, head_of, sql, state_of, weights


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


def test_deleted_subjects_are_in_no_byte_of_the_ledger(store: FolderStore) -> None:
    head = head_of(store)
    entry = granted(
        head, subjects=None, kind="disposal", before=weights(1).name, after=weights(1).name,
        granted=False, status=None,
    )  # fmt: skip
    ledger = store.folder / "ledger.sqlite"
    salt = (store.lines()[1].salt or "").encode()
    assert b"person 1" in ledger.read_bytes()
    store.commit(entry, [], head=head.hash, forget=[1])
    for word in (b"person 1", b"request-1", salt):
        assert word not in ledger.read_bytes()
    assert not list(store.folder.glob("ledger.sqlite-*"))
