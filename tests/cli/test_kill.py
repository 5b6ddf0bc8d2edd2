"""A process killed in the middle of a request leaves a run that resumes as if nothing was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from curenu.session import Session

COMMAND = [sys.executable, "-c", "from curenu.cli import main; main()"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
FORGET = ["--classes", "0,3", "--share", "0.9", "--request", "letter", "--method", "curenu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    Session.create(folder, "digits")
    return folder


@pytest.fixture(scope="module")
def uninterrupted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the weights that the request gives when nothing happens."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("whole") / "run")
    unlearn(folder)
    return Session.open(folder).records[-1].after


def unlearn(folder: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "unlearn", folder, *FORGET],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def begun(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait for the line that a request prints when its checks are done."""
    assert process.stderr is not None
    assert "erasing" in process.stderr.readline()


def written(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the new weights, or part of them, lie in the folder."""
    while len(list((folder / "weights").iterdir())) < 2 and process.poll() is None:
        time.sleep(0.0005)


def after(seconds: float) -> Callable[[Path, subprocess.Popen[str]], None]:
    def wait(folder: Path, process: subprocess.Popen[str]) -> None:
        begun(folder, process)
        time.sleep(seconds)

    return wait


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(after(0.2), id="while erasing"),
        pytest.param(written, id="when weights are written", marks=pytest.mark.slow),
        pytest.param(after(0.0), id="at the beginning", marks=pytest.mark.slow),
        pytest.param(after(0.5), id="later", marks=pytest.mark.slow),
        pytest.param(after(1.0), id="later still", marks=pytest.mark.slow),
    ],
)
def test_killed_and_made_again_a_request_gives_the_same_weights(
    trained: Path,
    uninterrupted: str,
    tmp_path: Path,
    moment: Callable[[Path, subprocess.Popen[str]], None],
) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    with subprocess.Popen(
        [*COMMAND, "unlearn", folder, *FORGET],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        moment(folder, process)
        process.kill()
    session = Session.open(folder)
    assert [record.after for record in session.records] in ([], [uninterrupted])
    unlearn(folder)
    (record,) = Session.open(folder).records
    assert record.after == uninterrupted
    assert {path.stem for path in (folder / "weights").iterdir()} == {
        session.description.start,
        uninterrupted,
    }


def test_the_installed_command_ends_with_the_code_of_its_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "unlearn", tmp_path / "nowhere", "--ids", "1"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
