"""What docs/malicious_requests.md shows runs, and says what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/malicious_requests.md"


def test_the_snippet_of_the_page_refuses_the_attack(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(compile(block, str(PAGE), "exec"), {})
    told = capsys.readouterr().out
    assert "flagged membership - 20 of 20 items" in told
    assert "flagged predicted change" in told
    assert "override" in told
