"""The README's program runs as it stands, and its table is that of the page on costs."""

from __future__ import annotations

import re

import pytest

from curenu import Unlearned
from tests.docs.pages import DOCS

README = (DOCS.parent / "README.md").read_text()


def test_the_program_runs_and_leaves_the_model_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = re.findall(r"```python\n(import curenu\n.*?)```", README, re.S)[0]
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    result = names["result"]
    assert isinstance(result, Unlearned)
    assert str(result.status) in capsys.readouterr().out
    assert names["forgetful"] is not names["model"]
    assert float(result.theta.sub(result.parameters.flatten(dict(
        names["model"].named_parameters()  # type: ignore[attr-defined]
    ))).norm()) > 0  # fmt: skip


def test_its_costs_are_those_of_the_page_on_costs() -> None:
    page = (DOCS / "when_it_pays.md").read_text()
    rows = re.findall(
        r"^\| ([\w-]+) \| ([\d,]+) \| [^|]+ \| (\S+) \| (\S+) \| (\S+) \|$", README, re.M
    )
    assert len(rows) == 4
    for task, count, tenth, half, whole in rows:
        found = re.search(rf"^\| {task} \| {count} \|(.*)\|$", page, re.M)
        assert found is not None, task
        cells = [cell.split()[0] for cell in found[1].split("|")]
        assert (cells[3], cells[2], cells[5]) == (tenth, half, whole)


def test_every_page_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#\s]+)", README)
    assert len(links) > 12
    assert all((DOCS.parent / link).is_file() for link in links)
