"""What names may hold and what output may do: neither may undo or hide what was done."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curenu import __version__
from curenu.bench.plots import roc_plot
from curenu.cli import app, console
from curenu.cli.console import say, say_table
from curenu.cli.outlet import Outlet, readable
from curenu.cli.record import print_record
from curenu.erasure import StepRecord
from curenu.report import Row, damping_plot
from curenu.runs.evidence import Head
from curenu.runs.session import Session

COMMAND = [sys.executable, "-c", "from curenu.cli import main; main()"]
HOSTILE = "[/red] $x$ [bold]:smile: \x1b[31m é💥"
SHOWN = "[/red] $x$ [bold]:smile: \\x1b[31m é💥"
TASK = f"""
import dataclasses
from curenu.tasks import load_task

def people():
    task = load_task("digits")
    ids = ["Ann", "Lee", "Ann Lee", "4,8", {HOSTILE!r}]
    ids += [f"person {{place}}" for place in range(len(ids), len(task.train))]
    recipe = dataclasses.replace(task.recipe, epochs=1)
    return dataclasses.replace(task, name={HOSTILE!r}, recipe=recipe, ids=ids)
"""
QUICK = ["--method", "fine-tune", "--set", "epochs=1"]


def run(*words: str | Path, **more: Any) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the tests of this file go on with, one after the other."""
    place = tmp_path_factory.mktemp("hostile [red] ü")
    (place / "own.py").write_text(TASK)
    made = run("train", f"{place / 'own.py'}:people", place / "run")
    assert made.exit_code == 0, made.output
    assert f"Trained {SHOWN} on 1437 examples" in made.stdout
    assert f"next: curenu unlearn '{place / 'run'}'" in made.stderr
    return place / "run"


def test_whoever_is_asked_for_is_erased_and_nobody_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(f'why,customer\n"a,b","4,8"\nx,"{HOSTILE}"\n')
    asked = ["--ids-file", tmp_path / "people.csv", "--column", "customer"]
    granted = run("unlearn", folder, *asked, *QUICK, "--request", HOSTILE)
    assert granted.exit_code == 0, granted.output
    assert f"Request {SHOWN!r}"[:20] in granted.stdout
    again = run("unlearn", folder, "--ids-file", "-", *QUICK, "--json", input="Ann Lee\n")
    assert json.loads(again.stdout)["ids"] == ["Ann Lee"]
    assert Session.open(folder).erased == (2, 3, 4)


def test_a_run_is_shown_without_running_the_code_that_it_names(folder: Path) -> None:
    code = (folder.parent / "own.py").read_text()
    (folder.parent / "own.py").write_text("raise SystemExit('was run')")
    try:
        shown = run("show", folder)
        found = json.loads(run("show", folder, "--json").stdout)
    finally:
        (folder.parent / "own.py").write_text(code)
    assert shown.exit_code == 0, shown.output
    for words in (f"Task: {SHOWN}", "own.py:people", "1,437", "Next: curenu unlearn"):
        assert words in shown.stdout
    session = Session.open(folder)
    assert found["weights"] == session.current
    assert found["erased"] == len(session.erased)
    assert [r["request"] for r in found["requests"]] == [r.request for r in session.records]


def test_output_that_fails_after_the_grant_does_not_fail_the_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a fault in showing it")

    before = len(Session.open(folder).records)
    monkeypatch.setattr("curenu.cli.record.print_record", fail)
    granted = run("unlearn", folder, "--ids", "Ann", *QUICK)
    assert granted.exit_code == 0
    assert "done, but the result could not be shown: RuntimeError" in granted.stderr
    assert len(Session.open(folder).records) == before + 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_record_can_be_read_in_any_encoding(
    folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    named = Session.open(folder).records[0].model_copy(update={"request": "Löschung №17 💥"})
    print_record(named, Head(named.number, named.hash), as_json=False)
    say("λ_min ± 3")
    stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    exact = "Löschung №17 💥".encode(encoding, "backslashreplace").decode(encoding)
    assert f"Request '{exact}'" in shown.replace("\n", " ")
    assert ("λ_min ± 3" if encoding == "utf-8" else "lambda_min") in shown


def test_signs_get_words_and_names_stay_exact_where_the_encoding_lacks_them() -> None:
    assert readable("λ ± 1 …", "ascii") == "lambda +- 1 ..."
    assert readable("é № \x1b[31m\ud800", "latin-1") == "é \\u2116 \\x1b[31m\\ud800"
    assert readable("é №\n", "utf-8") == "é №\n"
    assert readable("é", "no such encoding") == "\\xe9"


class Full(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        BrokenPipeError(32, "Broken pipe"),
        ValueError("closed"),
    ],
)
def test_a_stream_that_takes_nothing_raises_nothing(error: Exception) -> None:
    stream = Outlet(Full(error))
    for _ in range(3):
        stream.write("text")
        stream.flush()
    assert stream.failure is not None
    assert stream.gone == isinstance(error, BrokenPipeError)
    nothing = Outlet(None)
    assert (nothing.write("text"), nothing.failure, nothing.isatty()) == (4, "it is closed", False)


@pytest.mark.parametrize("width", [40, 100])
def test_tables_fold_and_lose_nothing(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    name = "a-name-of-[bold]-fifty-characters-without-any-blanks"
    say_table(["name", "value", "words"], [[name, "1.5", "some more words " * 8]], title="Title")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "".join(c for line in lines for c in line if c.isalnum() or c in "-[].")
    assert name in text or width > 40
    assert text.count("some") == 8
    assert "Title" in text


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 60.0, 120.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress_bar("training [/] x") as told:
        for done in (1, 20, 30, 50, 100):
            told(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training [/] x: 20 %, about 24 s left",
        "training [/] x: 50 %, about 60 s left",
    ]


def test_a_plot_shows_any_name_as_it_stands() -> None:
    for name in ("$x", "$a_{$", "_hidden", "[red]\x00", "a\ud800", "$\\frac{$", "名前"):
        steps = (StepRecord(step_norm=1.0, gradient_norm=1.0, damping=0.5, penalty=1.0),)
        rows = (Row(name, update_norm=1.0, trace=steps), Row("b", update_norm=2.0))
        assert "outer step" in (damping_plot(rows) or "")
        curve = {"method": name, "roc": ([0.1, 1.0], [0.2, 1.0])}
        assert roc_plot([curve, {**curve, "method": "b"}])
    assert "$a_{$" in (damping_plot([Row("$a_{$", trace=steps)]) or "")


def test_help_and_version_load_nothing_heavy() -> None:
    words = (
        "import sys\nfrom curenu.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'matplotlib'}\n"
        "sys.exit(', '.join(sorted(heavy & {*sys.modules})) or 0)"
    )
    for argument in (["--help"], ["unlearn", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", words, *argument], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == f"curenu {__version__}\n"


def test_the_package_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "curenu", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"curenu {__version__}\n"


def test_an_error_is_an_object_where_json_was_asked_for(tmp_path: Path) -> None:
    for words, kind, code in [
        (["show", tmp_path], "RunBroken", 4),
        (["show", tmp_path, "--nothing"], "BadRequest", 2),
        (["unlearn", tmp_path, "--request", ""], "BadRequest", 2),
        (["unlearn"], "BadRequest", 2),
    ]:
        refused = run(*words, "--json")
        found = json.loads(refused.stderr)
        assert (found["error"], found["exit_code"], refused.exit_code) == (kind, code, code)
        assert found["problem"]
        assert found["remedy"]
        assert refused.stdout == ""
        plain = run(*words).stderr.splitlines()
        assert plain[0] == f"error: {found['problem']}"
        assert plain[1] == f"try: {found['remedy']}"


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [(KeyboardInterrupt(), "Interrupted", 130), (ZeroDivisionError("by 0"), "Unforeseen", 1)],
)
def test_whatever_ends_a_command_is_an_object_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, fault: BaseException, kind: str, code: int
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise fault

    monkeypatch.setattr("curenu.cli.methods.print_json", fails)
    ended = run("methods", "--json")
    found = json.loads(ended.stderr)
    assert (found["error"], found["exit_code"], ended.exit_code) == (kind, code, code)
    assert found["problem"]
    assert found["remedy"]


def test_without_a_command_the_help_is_all_that_is_shown() -> None:
    shown = run()
    assert "Usage: curenu" in shown.output
    assert "error" not in shown.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(("closed", "code"), [("/dev/full", 1), ("closed", 1), ("left", 0)])
def test_a_result_that_nobody_can_read_is_a_failure_only_if_nothing_was_done(
    closed: str, code: int
) -> None:
    redirect = {"/dev/full": ">/dev/full", "closed": ">&-", "left": "| true"}[closed]
    script = f"set -o pipefail; {shlex.join(COMMAND)} --version {redirect}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert ("could not be written" in done.stderr) == (code == 1)


@pytest.mark.parametrize("module", ["typer", "torch"])
def test_an_interrupt_while_it_starts_is_one_line(tmp_path: Path, module: str) -> None:
    """A module that interrupts whoever imports it, in place of one that takes long to import."""
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*COMMAND, "methods"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted")
    assert len(done.stderr.splitlines()) == 1
