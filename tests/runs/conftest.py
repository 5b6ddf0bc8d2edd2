"""A trained run, copied for every test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from curenu.runs.session import Session


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    Session.create(folder, "digits", seed=1)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))
