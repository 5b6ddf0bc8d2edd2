"""The desk's commands: from `init` to `verify`, with the solve in its own process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from curenu.cli import app, desk_options
from curenu.desk.home import Desk
from curenu.desk.policy import Bar
from tests.desk.desks import CANARY, policy_for

ROOT = Path(__file__).parents[2]
RUNNER = CliRunner()


def said(folder: Path, *words: Any, code: int = 0) -> str:
    result = RUNNER.invoke(app, ["desk", *map(str, words)], env={"CURENU_DESK": str(folder)})
    assert result.exit_code == code, result.output
    return result.output


def _joined(output: str) -> str:
    """Output whose long lines were folded, without blanks."""
    return "".join(output.split())


def test_help_loads_no_package_of_the_desk() -> None:
    code = (
        "import sys; sys.argv = ['curenu', 'desk', '--help']\n"
        "from curenu.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "bad = {'sqlalchemy', 'dbos', 'alembic', 'cryptography', 'torch', 'curenu.desk'}\n"
        "sys.exit(len(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"intake" in done.stdout


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_dbos(name: str) -> Any:
        return None if name == "dbos" else find_spec(name)

    monkeypatch.setattr(desk_options, "find_spec", no_dbos)
    output = said(tmp_path / "desk", "list", code=3)
    assert "dbos" in output
    assert 'pip install "curenu[desk]"' in output


def test_commands_from_init_to_verify(tmp_path: Path, trained: Path) -> None:
    here, policy = tmp_path / "desk", tmp_path / "policy.json"
    figures = ("R", "G", "membership_attack", "holdout_loss")
    rules = policy_for(trained, bars=dict.fromkeys(figures, Bar(low=-1e9, high=1e9)))
    policy.write_text(rules.model_dump_json())
    said(here, "init")
    assert "There is a desk" in said(here, "init", code=2)
    said(here, "register", "people", trained, "--policy", policy, "--recipient", "serving")
    name = str(uuid.uuid4())
    words = ["--model", "people", "--identity", CANARY, "--by", "anna", "--request", name]
    listed = tmp_path / "ids.csv"
    listed.write_text("canary-3\r\ncanary-4\r\n", encoding="utf-16")
    ids = ["--ids", "canary-1", "--ids", "canary-2", "--ids-file", listed]
    taken = json.loads(said(here, "intake", *words, *ids, "--json"))
    assert taken == {"request": name, "status": "pending"}
    assert "another person" in said(here, "approve", name, "--by", "anna", code=2)
    said(here, "approve", name, "--by", "bea")
    assert json.loads(said(here, "list", "--json"))[0]["status"] == "approved"
    output = RUNNER.invoke(app, ["desk", "run"], env={"CURENU_DESK": str(here)})
    (made,) = json.loads(said(here, "batch", "--json"))
    if output.exit_code == 6:  # not all figures exist on 24 examples: the way on is retraining
        assert made["why"] == "bar_not_passed"
        assert "cannot be released" in said(here, "release", made["id"], "--by", "bea", code=5)
        said(here, "run", made["id"], "--retrain")
    else:
        assert output.exit_code == 0, output.output
        assert made["status"] == "awaiting_release"
    served = said(here, "release", made["id"], "--by", "bea")
    weights = next(
        path for path in here.rglob("*.safetensors") if path.name[:60] in _joined(served)
    )
    assert "clean" in said(here, "check", weights)
    old = next((trained / "weights").iterdir())
    assert "denied" in said(here, "check", old, code=1)
    report = _joined(said(here, "report", made["id"]))
    root = Desk.open(here).keys.root
    assert "It holds: people" in said(here, "verify", report, "--root", root)
    story = json.loads(said(here, "show", name, "--json"))
    assert [d["kind"] for d in story["decisions"]] == ["intake", "approve"]
    assert story["request"]["opendsr"] == "completed"
    assert "All is well" in said(here, "doctor")
    assert CANARY not in served + json.dumps(story)


@pytest.mark.slow
def test_the_worker_runs_what_is_due_and_keeps_no_name(tmp_path: Path, trained: Path) -> None:
    here, policy = tmp_path / "desk", tmp_path / "policy.json"
    policy.write_text(policy_for(trained).model_dump_json())
    said(here, "init")
    said(here, "register", "people", trained, "--policy", policy)
    words = ["--model", "people", "--identity", CANARY, "--by", "anna", "--ids", "canary-1"]
    name = json.loads(said(here, "intake", *words, "--json"))["request"]
    said(here, "approve", name, "--by", "bea")
    done = subprocess.run(
        [sys.executable, "-m", "curenu", "desk", "worker", "--once", "--desk", str(here)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rejected" in done.stdout or "awaiting_release" in done.stdout
    assert b"canary" not in b"".join(p.read_bytes() for p in here.rglob("*") if p.is_file())
    assert "canary" not in done.stdout + done.stderr


def test_the_pages_name_commands_that_there_are() -> None:
    commands: Any = get_command(app)
    desk = commands.commands["desk"].commands
    there = set(desk)
    for group in ("log", "key"):
        there |= {f"{group} {inner}" for inner in desk[group].commands}
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text() for page in pages)
    named = set(re.findall(r"(?:`|\$ )curenu desk ((?:log |key )?[a-z]+)", text))
    assert {"check", "deny"} <= named <= there
