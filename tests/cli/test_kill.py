"""A process killed in the middle of a request leaves a run that resumes as if nothing was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curenu.runs.evidence import RequestRecord
from curenu.runs.session import Session
from tests.runs.runs import state_of

COMMAND = [sys.executable, "-c", "from curenu.cli import main; main()"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
FORGET = ["--classes", "0,3", "--share", "0.9", "--request", "letter", "--method", "curenu"]
FORGET += ["--set", "max_steps=12", "--set", "tolerance=0"]  # long enough to be killed in


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    Session.create(folder, "digits")
    return folder


@pytest.fixture(scope="module")
def uninterrupted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> RequestRecord:
    """The request's record when nothing happens."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("whole") / "run")
    unlearn(folder)
    return Session.open(folder).records[-1]


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


def begin(folder: Path) -> subprocess.Popen[str]:
    """The request in a process of its own, past the line it prints when it is checked."""
    process = subprocess.Popen(
        [*COMMAND, "unlearn", folder, *FORGET],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "erasing" in process.stderr.readline()
    return process


def resume(folder: Path, uninterrupted: RequestRecord) -> None:
    """Make the request again and compare with the one that nobody killed."""
    unlearn(folder)
    session = Session.open(folder)
    (record,) = session.records
    assert record.after == uninterrupted.after
    assert record.positions == uninterrupted.positions
    assert {path.stem for path in (folder / "weights").iterdir()} == {
        session.description.start,
        record.after,
    }


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6])
def test_killed_while_erasing_and_made_again_a_request_gives_the_same_weights(
    trained: Path, uninterrupted: RequestRecord, tmp_path: Path, part: float
) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    before = state_of(folder)
    with begin(folder) as process:
        time.sleep(part * uninterrupted.cost.seconds)
        process.kill()
    records = Session.open(folder).records
    if records:  # this run was faster than the one that was timed, and had ended
        assert part > 0.0
        assert [record.after for record in records] == [uninterrupted.after]
    else:
        assert state_of(folder) == before  # nothing was half written
    resume(folder, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005])
def test_killed_while_writing_a_request_is_granted_wholly_or_not_at_all(
    trained: Path, uninterrupted: RequestRecord, tmp_path: Path, delay: float
) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    with begin(folder) as process:
        while len(list((folder / "weights").iterdir())) < 2 and process.poll() is None:
            pass
        time.sleep(delay)
        process.kill()
    records = Session.open(folder).records
    assert [record.after for record in records] in ([], [uninterrupted.after])
    resume(folder, uninterrupted)


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
