"""The 60 lines that check a report without curenu say what the library says, on any change."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from curenu.desk.envelopes import key_id, sealed
from curenu.desk.forms import canonical, written
from curenu.desk.keys import Keys
from curenu.desk.statement import PAYLOAD_TYPE, report_file, sign
from tests.desk.reports import NOW, WEIGHTS, Desk, desk

SCRIPT = Path(__file__).parents[2] / "examples" / "verify_report.py"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(tmp_path_factory.mktemp("desk"), hashlib.sha256(WEIGHTS).hexdigest())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with nothing in it but the script."""
    shutil.copy(SCRIPT, tmp_path / "verify_report.py")
    return tmp_path


def told(place: Path, report: bytes | None, *arguments: str) -> tuple[int, str]:
    """Exit code and words of the script, run where curenu cannot be imported from a path."""
    if report is not None:
        (place / "report.json").write_bytes(report)
    command = [sys.executable, "-I", "verify_report.py", "report.json", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPATH"] = ""
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout


MANY = """
import contextlib, io, runpy, sys
from pathlib import Path
for path in sorted(Path("mutants").iterdir()):
    sys.argv[1] = str(path)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path("verify_report.py")
    except (SystemExit, Exception):
        continue
    print(path)
"""
"""Runs the script on each file of a folder in one process, and names those that hold."""


def test_it_is_short_and_imports_nothing_of_curenu() -> None:
    text = SCRIPT.read_text()
    assert text.count("\n") <= 60
    used = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            used.add((node.module or "").split(".")[0])
    assert used - {"cryptography"} <= sys.stdlib_module_names
    assert "cryptography" in used


def test_a_whole_report_holds_with_its_weights(made: Desk, place: Path) -> None:
    (place / "weights").write_bytes(WEIGHTS)
    code, words = told(place, made.report, made.keys.root, "weights", written(NOW))
    assert (code, words[:9]) == (0, "All holds")
    assert hashlib.sha256(WEIGHTS).hexdigest() in words
    (place / "weights").write_bytes(WEIGHTS + b"!")
    assert told(place, None, made.keys.root, "weights", written(NOW))[0] == 6
    (place / "weights").write_bytes(b"")
    assert told(place, None, made.keys.root, "weights", written(NOW))[0] == 6


def test_no_report_with_a_flipped_byte_holds(made: Desk, place: Path) -> None:
    report, chance = made.report, random.Random(7)
    (place / "mutants").mkdir()
    places = chance.sample(range(len(report)), 200)
    signature = report.rindex(b'"sig":"')  # from there every byte, to the end
    for number, at in enumerate([*places, *range(signature - 90, len(report))]):
        other = bytearray(report)
        other[at] ^= chance.choice([1, 2, 4, 8, 16, 32, 64, 128])
        (place / "mutants" / f"{number:04d}").write_bytes(bytes(other))
    (place / "many.py").write_text(MANY)
    command = [sys.executable, "-I", "many.py", "-", made.keys.root, "-", written(NOW)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (place / "mutants" / "whole").write_bytes(report)  # the loop does notice a report that holds
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert done.stdout == f"{Path('mutants') / 'whole'}\n"


def test_a_flipped_byte_has_a_sentence_and_no_traceback(made: Desk, place: Path) -> None:
    for at in (10, len(made.report) // 3, len(made.report) - 1):
        other = bytearray(made.report)
        other[at] ^= 1
        code, words = told(place, bytes(other), made.keys.root, "-", written(NOW))
        assert code == 1
        assert words.count("\n") == 1
    assert told(place, None, made.keys.root, "-", "soon")[0] == 1


def test_another_root_an_old_list_and_expired_keys_fail(made: Desk, place: Path) -> None:
    assert told(place, made.report, "0" * 64, "-", written(NOW)) == (
        4,
        "Not the root key's list.\n",
    )
    for time in (NOW + 90 * DAY, NOW - DAY):
        assert told(place, None, made.keys.root, "-", written(time))[0] == 4


def test_expired_and_revoked_keys_fail_each_with_its_sentence(tmp_path: Path, place: Path) -> None:
    for use, other in (("statement", "log"), ("log", "statement")):
        made = desk(tmp_path / use)
        private = made.keys.statement_key(NOW) if use == "statement" else made.keys.log_key(NOW)
        name = key_id(private.public_key())
        made.keys.rotate(other, NOW, overlap=10 * DAY)
        made.keys.rotate(use, NOW, overlap=DAY)
        code, words = told(place, made.report, made.keys.root, "-", written(NOW + 2 * DAY))
        assert code == 4
        assert name[:16] in words
        assert "not valid" in words
        made.keys.revoke(name, NOW)
        code, words = told(place, made.report, made.keys.root, "-", written(NOW))
        assert (code, words) == (4, f"The key {name[:16]} was revoked.\n")


def test_signed_content_of_another_type_or_outside_the_log_fails(made: Desk, place: Path) -> None:
    key = made.keys.statement_key(NOW)
    listed = made.keys.envelope()

    def of(**changes: object) -> bytes:
        statement = made.statement | changes
        return report_file(sealed(PAYLOAD_TYPE, canonical(statement), [key]), listed)

    other = report_file(listed, listed)
    assert told(place, other, made.keys.root, "-", written(NOW))[0] in (1, 4)
    typed = of(predicateType="https://example.org/other/v1")
    assert told(place, typed, made.keys.root, "-", written(NOW)) == (1, "Another type.\n")
    said = made.statement["predicate"]
    for change in ({"index": 3}, {"proof": said["log"]["proof"][1:]}, {"size": 6}):
        unlogged = of(predicate=said | {"log": said["log"] | change})
        code, _ = told(place, unlogged, made.keys.root, "-", written(NOW))
        assert code in (1, 5)
    moved = of(predicate=said | {"release": 8})
    assert told(place, moved, made.keys.root, "-", written(NOW))[0] == 5


def test_a_report_of_two_signers_holds_and_of_none_does_not(tmp_path: Path, place: Path) -> None:
    made = desk(tmp_path / "desk")
    second = made.keys.private(made.keys.new("statement", NOW).id)
    both = sign(made.statement, [made.keys.statement_key(NOW), second])
    listed = Keys.open(made.keys.folder).envelope()
    assert told(place, report_file(both, listed), made.keys.root, "-", written(NOW))[0] == 0
    none = report_file(both | {"signatures": []}, listed)
    assert told(place, none, made.keys.root, "-", written(NOW))[0] == 1


def test_a_missing_file_and_missing_words_are_told(place: Path) -> None:
    code, words = told(place, None, "0" * 64)
    assert (code, words) == (1, "Changed: FileNotFoundError.\n")
    code, words = told(place, json.dumps({}).encode())
    assert code == 1
    assert "ROOT_KEY_ID" in words
