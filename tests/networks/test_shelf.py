"""Shelves in memory, in a folder and in a run keep the same things in the same way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curenu.errors import RunBroken
from curenu.networks import FolderShelf, MemoryShelf, Networks, Shelf, fingerprint
from curenu.runs.folder_store import FolderStore
from tests.networks.test_networks import IDS, short, vector
from tests.runs.runs import founding

ONE, TWO = "one.safetensors", "outputs/two.safetensors"


@pytest.fixture(params=["memory", "folder", "run"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "memory":
        return MemoryShelf()
    if request.param == "folder":
        return FolderShelf(tmp_path / "nets")
    store = FolderStore(tmp_path / "run")
    store.create(*founding())
    return store.networks


def test_what_is_kept_is_read_until_it_is_removed(shelf: Shelf) -> None:
    assert (shelf.names(), shelf.holds(ONE)) == ((), False)
    shelf.write(TWO, b"said")
    shelf.write(ONE, b"trained")
    assert shelf.names() == (ONE, TWO)
    assert (shelf.read(ONE), shelf.read(TWO)) == (b"trained", b"said")
    shelf.write(ONE, b"anew")
    assert (shelf.read(ONE), shelf.names()) == (b"anew", (ONE, TWO))
    for _ in range(2):  # what is gone may be removed again
        shelf.remove(ONE)
        assert (shelf.names(), shelf.holds(ONE), shelf.holds(TWO)) == ((TWO,), False, True)
    assert ONE in shelf.describe(ONE)


def test_what_is_not_kept_cannot_be_read(shelf: Shelf) -> None:
    shelf.write(TWO, b"said")
    with pytest.raises(RunBroken, match=ONE) as caught:
        shelf.read(ONE)
    assert caught.value.remedy


def test_networks_on_any_shelf_are_trained_once_and_made_again_once_removed(shelf: Shelf) -> None:
    task = short()
    networks = Networks(shelf, task, fingerprint(task))
    first = networks.get(3, IDS)
    assert torch.equal(vector(first.model), vector(task.train_model(3, ids=IDS)))
    (name,) = shelf.names()
    again = networks.get(3, IDS, progress=lambda *_: pytest.fail("trained again"))
    assert (torch.equal(vector(again.model), vector(first.model)), again.seconds) == (
        True,
        first.seconds,
    )
    shelf.remove(name)
    told: list[int] = []
    networks.get(3, IDS, progress=lambda done, total: told.append(done))
    assert (len(told), shelf.names()) == (4, (name,))  # two epochs of two batches


def added(shelf: Shelf, before: tuple[str, ...]) -> str:
    """The one name that is new."""
    (name,) = set(shelf.names()) - set(before)
    return name


def test_of_others_is_everything_not_known_to_be_of_these_examples(shelf: Shelf) -> None:
    task = short()
    networks = Networks(shelf, task, fingerprint(task))
    fewer, others = IDS[1:], set[str]()
    for seed in (0, 1):
        networks.train(seed, IDS)
    networks.outputs(0, IDS, [70])
    assert networks.of_others(IDS) == ()
    assert networks.of_others(fewer) == shelf.names()
    before = shelf.names()
    networks.train(0, fewer)
    others.add(added(shelf, before))
    before = shelf.names()
    networks.outputs(0, fewer, [0])
    others.add(added(shelf, before))
    before = shelf.names()
    networks.train(2, IDS)
    damaged = added(shelf, before)
    assert set(networks.of_others(IDS)) == others
    shelf.write(damaged, shelf.read(damaged)[:-4])  # of these examples, but who can tell
    shelf.write("foreign.safetensors", b"no network")
    others |= {damaged, "foreign.safetensors"}
    found = networks.of_others(IDS)
    assert found == tuple(sorted(others))
    assert set(shelf.names()) - set(found) == set(networks.of_others(fewer)) - {
        damaged,
        "foreign.safetensors",
    }


def test_of_others_names_what_a_writer_that_ended_left_half_written(tmp_path: Path) -> None:
    task = short()
    networks = Networks.in_folder(tmp_path, task)
    networks.train(0, IDS)
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    parts = {pid: tmp_path / f"half.safetensors.{pid}.partial"
             for pid in (ended.stdout.strip(), os.getpid())}  # fmt: skip
    for part in parts.values():
        part.write_bytes(b"half")
    assert networks.of_others(IDS) == ("half.safetensors",)
    networks.shelf.remove("half.safetensors")
    assert [path for path in parts.values() if path.exists()] == [parts[os.getpid()]]
    assert networks.of_others(IDS) == ()  # this process may still be writing
