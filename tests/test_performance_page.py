"""The page of performance is made from its results."""

from __future__ import annotations

from pathlib import Path

from tests.scripts import loaded

FOLDER = Path(__file__).parent.parent / "benchmarks" / "speed"


def test_the_page_is_what_the_results_say() -> None:
    made = loaded(FOLDER / "page.py")
    assert made.PAGE.read_text() == made.text()
