"""The tutorials run: their commands in a folder that has the examples, then their Python."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curenu.cli import app
from tests.docs.pages import DOCS

EXAMPLES = DOCS.parent / "examples"
PAGES = {"tutorial_own_data": 4, "tutorial_own_method": 4, "tutorial_audit": 5}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.S | re.M)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "count"), PAGES.items())
def test_a_tutorial_runs(
    page: str,
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    assert len(lines) == count
    for line in lines:
        result = CliRunner().invoke(app, line.removeprefix("$ curenu ").split())
        assert result.exit_code == 0, (line, result.output)
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), {"__name__": page})
    if page == "tutorial_audit":
        said = capsys.readouterr().out
        head = re.search(r"^head (\w{64})$", said, re.M)
        assert head is not None
        checked = CliRunner().invoke(app, ["verify", "run", "--head", head[1]])
        assert checked.exit_code == 0, checked.output
        assert re.search(r'record 1 is of .*"ids":\["?4', said)


def test_the_benchmark_of_the_tutorial_shows_what_it_says() -> None:
    text = (DOCS / "tutorial_own_method.md").read_text()
    assert all((DOCS.parent / name).is_file() for name in re.findall(r'--8<-- "([^"]+)"', text))
