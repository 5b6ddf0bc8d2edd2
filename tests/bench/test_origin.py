"""Results name their day and their commit."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curenu.bench.origin import origin


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
