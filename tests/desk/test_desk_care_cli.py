"""The desk's commands for its care: scan, dispose, notify, log, key, and the report as a page."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from curenu.cli import app
from curenu.desk import queue, releasing
from curenu.desk.checkpoint import checkpoint
from curenu.desk.home import Desk
from curenu.desk.log import Log
from curenu.desk.looking import weights_of
from tests.desk.desks import CANARY, approved, put_under, run_here
from tests.desk.test_desk_cli import RUNNER, said


class Made:
    """A desk with one release: its folder, the batch, the old and the new weights."""

    def __init__(self, folder: Path, trained: Path) -> None:
        shutil.copytree(trained.parent, folder / "own")
        desk = Desk.create(folder / "desk")
        old = put_under(desk, folder / "own" / trained.name)
        approved(desk, 3)
        self.batch = queue.seal(desk, "people")
        run_here(desk, self.batch)
        self.new = weights_of(desk, releasing.release(desk, self.batch, "bea"))
        self.old = next((folder / "own" / trained.name / "weights").glob(f"{old}*"))
        self.folder, self.root = desk.folder, desk.keys.root
        desk.close()

    def __call__(self, *words: Any, code: int = 0) -> str:
        return said(self.folder, *words, code=code)

    def told(self, *words: Any, code: int = 0) -> Any:
        given = ["desk", *map(str, words), "--json"]
        result = RUNNER.invoke(app, given, env={"CURENU_DESK": str(self.folder)})
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@pytest.fixture
def made(tmp_path: Path, trained: Path) -> Made:
    return Made(tmp_path, trained)


def _commands() -> dict[str, Any]:
    whole: Any = get_command(app)
    found: dict[str, Any] = {}
    for name, command in whole.commands["desk"].commands.items():
        inner = getattr(command, "commands", None) or {"": command}
        found |= {f"{name} {sub}".strip(): one for sub, one in inner.items()}
    return found


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_has_an_example_and_speaks_json(name: str) -> None:
    command = _commands()[name]
    assert f"Example: curenu desk {name}" in command.help, command.help
    assert any("--json" in parameter.opts for parameter in command.params)


def test_scan_is_clean_for_clean_weights_alone(made: Made, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    assert "no weights" in made("scan", served, code=1)
    shutil.copy(made.new, served / "model.safetensors")
    (one,) = made.told("scan", served)
    assert one["clean"] is True
    shutil.copy(made.old, served / "renamed.safetensors")
    found = {Path(one["path"]).name: one for one in made.told("scan", served, code=1)}
    assert found["renamed.safetensors"]["clean"] is False
    assert "erased" in found["renamed.safetensors"]["reason"]
    assert "desk check" in made("scan", made.new, code=2)
    assert made.told("check", made.old, code=1)["clean"] is False


def test_dispose_names_what_goes_and_what_stays(made: Made) -> None:
    assert made.told("dispose", "people", "--by", "bea")["gone"] == []
    assert made.old.exists()
    done = made.told("dispose", "people", "--by", "bea", "--everything")
    assert done["gone"] == [made.old.name.split(".")[0]]
    assert Path(done["evidence"]).exists()
    assert not made.old.exists()
    assert "Nothing is old" in made("dispose", "people", "--by", "bea")
    assert "no model 'other'" in made("dispose", "other", "--by", "bea", code=2)
    assert "All is well" in made("doctor")


def test_notify_shows_sends_and_keeps_answers(made: Made) -> None:
    (notice,) = made.told("notify")
    assert notice["recipient"] == "serving"
    assert "not told yet" in made("notify", "--acknowledged", "serving", code=2)
    assert "one at a time" in made("notify", "--told", "a", "--acknowledged", "b", code=2)
    assert "could not be told" in made("notify", "--send", f"{sys.executable} -c exit(1)", code=5)
    assert made.told("notify", "--send", f"{sys.executable} -c pass") == [notice]
    assert "Nobody is to be told" in made("notify")
    assert made.told("notify", "--acknowledged", "serving") == {
        "recipient": "serving", "acknowledged": 1,
    }  # fmt: skip


def test_log_is_verified_by_heads_from_elsewhere_and_exported(made: Made, tmp_path: Path) -> None:
    assert made.told("log", "verify") == {"entries": 1, "faults": []}
    made("log", "export", tmp_path / "out")
    entries = (tmp_path / "out" / "entries.jsonl").read_bytes().splitlines()
    head = tmp_path / "out" / "head.txt"
    assert head.read_text().splitlines()[1] == "1"
    assert made.told("log", "verify", "--head", head)["faults"] == []
    assert "already there" in made("log", "export", tmp_path / "out", code=2)
    newer = tmp_path / "newer.txt"  # of the same log, which has one entry more elsewhere
    desk = Desk.open(made.folder)
    longer = Log([*entries, b"later"])
    now = desk.now().replace(tzinfo=UTC)
    newer.write_text(checkpoint(desk.origin, 2, longer.root(), [desk.keys.log_key(now)]))
    desk.close()
    assert "cut off" in made("log", "verify", "--head", newer, code=1)
    newer.write_text(newer.read_text().replace("\n2\n", "\n3\n"))
    assert "No key trusted here" in made("log", "verify", "--head", newer, code=5)
    assert "cannot be read" in made("log", "verify", "--head", tmp_path / "none", code=2)


def test_a_report_is_signed_anew_after_its_key_was_revoked(made: Made, tmp_path: Path) -> None:
    before = Path(made.told("report", made.batch, "--out", tmp_path / "before.json")["report"])
    for use in ("statement", "log"):
        (old,) = [k["id"] for k in made.told("key", "list")["keys"] if k["use"] == use]
        new = made.told("key", "new", use)["id"]
        made("key", "revoke", old)
        assert not (made.folder / "keys" / f"{old}.pem").exists()
        assert (made.folder / "keys" / f"{new}.pem").exists()
    after = Path(made.told("report", made.batch, "--out", tmp_path / "after.json")["report"])
    assert "It holds" in made("verify", after, "--root", made.root)
    was, now = (json.loads(path.read_bytes()) for path in (before, after))
    assert was["statement"]["signatures"] != now["statement"]["signatures"]
    assert made.told("log", "verify")["faults"] == []
    assert "no key that can be revoked" in made("key", "revoke", made.root, code=2)


def test_keys_rotate_and_the_list_is_renewed_only_with_the_root_key(
    made: Made, tmp_path: Path
) -> None:
    first = made.told("key", "list")
    new = made.told("key", "rotate", "statement", "--overlap", "3")
    assert made.told("key", "renew")["number"] == first["number"] + 2
    ends = {k["id"]: k["not_after"] for k in made.told("key", "list")["keys"]}
    (old,) = [k for k in first["keys"] if k["use"] == "statement"]
    assert ends[old["id"]] < old["not_after"]
    assert ends[new["id"]] >= old["not_after"]
    assert "It holds" in made("verify", _report(made), "--root", made.root)
    away = tmp_path / "usb"
    away.mkdir()
    root = made.folder / "keys" / f"{made.root}.pem"
    root.rename(away / root.name)
    before = made.told("key", "list")
    assert root.name in "".join(made("key", "new", "log", code=4).split())
    assert made.told("key", "list") == before
    assert made.told("key", "new", "log", "--root", away)["use"] == "log"


def _report(made: Made) -> str:
    return made.told("report", made.batch)["report"]


def test_the_report_as_a_page_says_what_was_signed(made: Made, tmp_path: Path) -> None:
    place = made.told("report", made.batch, "--html", "--out", tmp_path / "page.html")["report"]
    page = Path(place).read_text()
    assert made.new.name.split(".")[0] in page
    assert "What this does not prove" in page
    assert CANARY not in page
    assert "canary" not in page
    made("report", made.batch, "--html")
    assert (made.folder / "reports" / f"{made.batch}.html").exists()
    assert "Cannot write" in made(
        "report", made.batch, "--html", "--out", tmp_path / "no/where", code=2
    )
