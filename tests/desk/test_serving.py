"""The examples for deployment: nothing starts on weights that are not attested clean."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curenu.desk.allow_list import Attestation, ReleaseHead

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "desk_serving.md"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell script")

CHECK = """#!/bin/sh
# Stands for `curenu desk check`: clean is what says so. It then overwrites the file it came from.
grep -q clean "$1" || exit 5
echo tainted > "$SOURCE"
"""


def started(tmp_path: Path, weights: str, *command: str) -> subprocess.CompletedProcess[str]:
    """What comes of starting `command` behind the gate, on a file with this content."""
    (tmp_path / "check").write_text(CHECK)
    (tmp_path / "check").chmod(0o700)
    (tmp_path / "model").write_text(weights)
    (tmp_path / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {
        "CHECK": str(tmp_path / "check"),
        "SOURCE": str(tmp_path / "model"),
        "TMPDIR": str(tmp_path / "tmp"),
    }
    line = ["sh", str(ROOT / "examples" / "serve_only_clean.sh"), str(tmp_path / "model"), *command]
    return subprocess.run(line, env=environment, capture_output=True, text=True)


def test_the_server_starts_on_the_bytes_that_were_checked(tmp_path: Path) -> None:
    program = "import sys; print(open(sys.argv[2]).read(), sys.argv[1], sys.argv[3])"
    done = started(
        tmp_path, "clean", sys.executable, "-c", program, "two words", "{}", "a $HOME 'quote"
    )
    assert (done.returncode, done.stdout) == (0, "clean two words a $HOME 'quote\n")
    assert (tmp_path / "model").read_text() == "tainted\n"  # swapped after the check: not served


def test_the_servers_own_exit_code_is_kept(tmp_path: Path) -> None:
    assert started(tmp_path, "clean", "sh", "-c", "exit 41").returncode == 41


def test_denied_weights_start_nothing_and_leave_no_copy(tmp_path: Path) -> None:
    done = started(tmp_path, "old", "touch", str(tmp_path / "started"))
    assert done.returncode == 5
    assert "may not be served" in done.stderr
    assert not (tmp_path / "started").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_missing_weights_and_missing_arguments_start_nothing(tmp_path: Path) -> None:
    assert started(tmp_path, "clean").returncode == 2
    line = ["sh", str(ROOT / "examples/serve_only_clean.sh"), str(tmp_path / "none"), "true"]
    assert subprocess.run(line, capture_output=True).returncode == 3


def documented() -> dict[str, Any]:
    """The functions of the example for MLflow, from the page."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    found: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), found)
    return found


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    """An MLflow registry with two versions of a model, the first of them served."""
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: mlflow-skinny")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("digits")
    for content in ("aa", "bb"):
        client.create_model_version("digits", f"file://{tmp_path / content}")
    client.set_registered_model_alias("digits", "champion", "1")
    return client


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of mlflow's own store
def test_champion_moves_and_an_alias_put_back_raises_the_alarm(registry: Any) -> None:
    example = documented()
    old, new = "aa" * 32, "bb" * 32
    rows = [Attestation(old, "contains_erased", 1), Attestation(new, "clean", 1)]
    example["tag"](registry, "digits", "1", old, "contains_erased")
    example["release"](registry, "digits", "2", new)
    assert registry.get_model_version_by_alias("digits", "champion").version in (2, "2")
    assert example["alarm"](registry, "digits", rows, ReleaseHead(1)) is None
    registry.set_registered_model_alias("digits", "champion", "1")
    assert "saw examples that were erased" in example["alarm"](
        registry, "digits", rows, ReleaseHead(1)
    )
    registry.set_registered_model_alias("digits", "champion", "2")
    assert "later release" in example["alarm"](registry, "digits", rows, ReleaseHead(2))
