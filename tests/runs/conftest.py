"""Runs that tests change: a trained one, copied for each; small ones, made for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from curenu.runs.folder_store import FolderStore
from curenu.runs.memory_store import MemoryStore
from curenu.runs.session import Session
from tests.runs.runs import add, founding, tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    Session.create(folder, "digits", seed=1)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def tiny_run(tmp_path: Path) -> Path:
    Session.create(tmp_path / "run", tiny())
    return tmp_path / "run"


@pytest.fixture
def session() -> Session:
    """A run of `tiny` in memory."""
    return Session.create(MemoryStore(), tiny())


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store with two records, of no task."""
    made = FolderStore(tmp_path / "run")
    made.create(*founding())
    add(made)
    return made
