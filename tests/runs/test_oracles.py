"""Oracles that a run keeps: on record when they are written, and never used once changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from curenu.compare import evaluate
from curenu.errors import RunBroken
from curenu.networks import FolderShelf, Networks
from curenu.networks.content import content_digest
from curenu.runs import Session
from curenu.runs.folder_store import FolderStore
from curenu.runs.identity import derived_seed
from curenu.runs.records import digest
from curenu.runs.verify import verify
from tests.runs.runs import ANN, BOB, SHORT, sql, state_of, tiny, vector


@contextmanager
def stage(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture
def evaluated(tiny_run: Path) -> Session:
    """A run with two oracles of what is retained."""
    session = Session.open(tiny_run, tiny())
    session.unlearn([ANN], SHORT)
    evaluate(session, 2, stage)
    return session


def path_of(session: Session, number: int) -> Path:
    """Where the oracle of that number is, found by the seed that it says it has."""
    seed = derived_seed(session.description.seed, "oracle", number)
    (path,) = (
        path
        for path in (session.store.folder / "oracles").iterdir()  # type: ignore[attr-defined]
        if json.loads(words_of(path.read_bytes())["configuration"])["seed"] == seed
    )
    return path


def words_of(content: bytes) -> dict[str, str]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]


def forge(path: Path) -> None:
    """Other weights in the oracle's file, which fit all that the file says of itself."""
    content = path.read_bytes()
    tensors = {name: 2 * tensor for name, tensor in safetensors.torch.load(content).items()}
    words = {name: word for name, word in words_of(content).items() if name != "digest"}
    whole = words | {"digest": content_digest([tensors, words])}
    path.write_bytes(safetensors.torch.save(tensors, metadata=whole))


def test_the_ledger_has_the_hash_of_every_oracle(evaluated: Session, tiny_run: Path) -> None:
    rows = dict(sql(tiny_run, "SELECT name, hash FROM oracles"))
    files = {path.name: digest(path.read_bytes()) for path in (tiny_run / "oracles").iterdir()}
    assert rows == files
    assert len(files) == 2
    assert verify(evaluated.store) == (evaluated.head, [])


def test_a_changed_oracle_is_named_and_nothing_is_compared_with_it(evaluated: Session) -> None:
    store, path = evaluated.store, path_of(evaluated, 1)
    right = vector(evaluated.oracle(1).model)
    forge(path)
    alone = Networks(FolderShelf(path.parent), evaluated.task, evaluated.fingerprint)
    seed = derived_seed(evaluated.description.seed, "oracle", 1)
    assert torch.equal(vector(alone.load(seed, evaluated.retained).model), 2 * right)  # by itself
    path_of(evaluated, 0).unlink()
    before = state_of(store.folder)  # type: ignore[attr-defined]
    _, faults = verify(store)
    assert faults == [f"{path} was changed: it is not the oracle that was kept."]
    for refused in (lambda: evaluate(evaluated, 2, stage), lambda: evaluated.oracle(1)):
        with pytest.raises(RunBroken, match=path.name) as caught:
            refused()
        assert "deleting that file" in caught.value.remedy
    assert state_of(store.folder) == before  # type: ignore[attr-defined]  # nothing was trained
    path.unlink()
    assert verify(store) == (evaluated.head, [])  # what is not there can be trained again
    evaluate(evaluated, 2, stage)
    assert torch.equal(vector(evaluated.oracle(1).model), right)
    assert verify(store) == (evaluated.head, [])


def test_an_oracle_that_was_never_on_record_is_not_used(evaluated: Session, tiny_run: Path) -> None:
    """As of a run from before oracles were put on record, or of a file that somebody put there."""
    sql(tiny_run, "DROP TABLE oracles")
    faults = verify(evaluated.store)[1]
    assert len(faults) == 2
    assert all("that the ledger has no hash of" in fault for fault in faults)
    with pytest.raises(RunBroken, match="no hash of"):
        evaluate(evaluated, 2, stage)
    for path in (tiny_run / "oracles").iterdir():
        path.unlink()
    evaluate(evaluated, 2, stage)
    assert verify(evaluated.store)[1] == []


def test_a_changed_oracle_can_be_purged(evaluated: Session) -> None:
    changed, whole = path_of(evaluated, 0), path_of(evaluated, 1)
    forge(changed)
    record = evaluated.purge("base")
    assert record is not None
    assert [(gone.kind, gone.name) for gone in record.disposed] == [("oracle", changed.name)]
    assert whole.is_file()
    assert not changed.exists()
    assert verify(evaluated.store) == (evaluated.head, [])
    evaluate(evaluated, 2, stage)
    assert changed.is_file()  # trained again under the same name
    assert verify(evaluated.store) == (evaluated.head, [])


def test_what_a_killed_writer_of_an_oracle_left_is_made_again(
    evaluated: Session, tiny_run: Path
) -> None:
    """Killed after the file was written and before the ledger said so."""
    path = path_of(evaluated, 0)
    right = vector(evaluated.oracle(0).model)
    path.write_bytes(b"half of it")
    sql(tiny_run, "UPDATE files SET state = 'pending' WHERE name = ?", path.name)
    sql(tiny_run, "DELETE FROM oracles WHERE name = ?", path.name)
    assert verify(evaluated.store)[1] == []
    assert torch.equal(vector(evaluated.oracle(0).model), right)
    assert verify(evaluated.store)[1] == []


def test_of_two_that_write_an_oracle_at_once_the_first_is_kept(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = FolderStore(tiny_run), FolderStore(tiny_run)
    writing, calls = store._database.writing, []

    def interrupted() -> Any:
        calls.append(1)
        if len(calls) == 2:  # between the announcement and the transaction that writes
            other.networks.write("one.safetensors", b"of the other")
        return writing()

    monkeypatch.setattr(store._database, "writing", interrupted)
    store.networks.write("one.safetensors", b"of the first")
    assert store.networks.read("one.safetensors") == b"of the other"
    assert verify(store)[1] == []
    store.networks.write("one.safetensors", b"another")
    assert store.networks.read("one.safetensors") == b"another"
    assert verify(store)[1] == []


def test_a_changed_oracle_of_another_retain_set_stops_no_evaluation(
    evaluated: Session,
) -> None:
    forge(path_of(evaluated, 0))
    evaluated.unlearn([BOB], SHORT)
    evaluate(evaluated, 2, stage)
    (fault,) = verify(evaluated.store)[1]
    assert "was changed" in fault
