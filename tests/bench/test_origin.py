"""Results name their day and their commit."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curenu.bench.archive import Archive
from curenu.bench.cell import Cell, Made
from curenu.bench.origin import code_digest, origin
from tests.bench.small import config


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_checkout_gives_its_commit_and_says_when_it_was_changed(tmp_path: Path) -> None:
    try:
        git(tmp_path, "init", "--quiet")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    head = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert origin(tmp_path) == {"date": datetime.now(UTC).date().isoformat(), "commit": head}
    (tmp_path / "code.py").write_text("2")
    assert origin(tmp_path)["commit"] == f"{head}+"


def test_outside_a_checkout_the_commit_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert origin(tmp_path)["commit"] is None


def test_the_digest_of_the_code_is_of_every_file_and_its_name(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "inner").mkdir(parents=True)
        for name, text in files.items():
            (folder / "inner" / f"{name}.py").write_text(text)
        return code_digest(folder)

    one = digest(a="1", b="2")
    assert one == digest(a="1", b="2")
    others = [digest(a="1", b="3"), digest(a="1", c="2"), digest(a="1"), digest(a="12", b="")]
    assert len({one, *others}) == 5


def test_cells_that_other_code_made_are_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, cell = config(tmp_path), Cell("request", "method", 0, 0)
    with Archive(tmp_path / "out", small).open():
        made = Archive(tmp_path / "out", small)
        made.keep_cell(cell, Made({"value": 1}, {}))
        made.keep_note("trial", {"score": 2})
    assert Archive(tmp_path / "out", small).cell(cell) == {"value": 1}
    monkeypatch.setattr("curenu.bench.archive.code_digest", lambda: "of other code")
    later = Archive(tmp_path / "out", small)
    assert later.cell(cell) is None
    assert later.note("trial") is None
