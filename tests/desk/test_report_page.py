"""The page for people says what the statement says, in the words that may be used, of nobody."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from curenu.desk.predicate import FigureName, Limit
from curenu.desk.report_page import FIGURES, LIMITS, report_page
from curenu.desk.statement import build
from tests.desk.reports import DIGEST, desk, predicate


class Words(HTMLParser):
    """The visible words of a page, and its tags in balance."""

    VOID = ("meta", "br", "hr", "img", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.found.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.found).split())


def page(**changes: Any) -> str:
    return Words(report_page(build("digits", DIGEST, predicate(**changes)))).text


def test_the_page_shows_every_part_of_the_statement(tmp_path: Path) -> None:
    made = desk(tmp_path)
    whole = report_page(made.statement)
    text = Words(whole).text
    said = made.statement["predicate"]
    for shown in (
        "model digits", DIGEST, said["done"]["before"], said["done"]["settings"],
        *said["asked"]["commitments"], "Requests 3", "Examples named in them 12",
        "Requests erased from the model 2", "on the ground of a legal obligation",
        "method stocurenu", "Converged", "2026-11-27T06:00:00Z", "as release 7",
        "1.1 at most 1.5 yes 1", "0.9 0.7 to 1.3 yes 1", "0.51 at most 0.55 yes 0.5",
        "0.21 at most 0.25 yes –", "Compared with 2 models", "disposed of at 2026-11-26T12:00:00Z",
        "kept, and may not be served 2 2 1", "entry 4", "desk.example.org/log 7",
    ):  # fmt: skip
        assert shown in text, shown
    assert not re.search(r"https?://|<script|<img|<link|@import|url\(", whole)


def test_the_words_are_those_that_may_be_used() -> None:
    assert "Released. An approximate erasure, measured as shown below" in page()
    for wrong in ("proof of deletion", "certified", "guarantee"):
        assert wrong not in page().lower()
    assert "nothing of the examples is left" in page().split("What this does not prove")[1]


def test_a_rejected_result_says_so_and_what_is_next() -> None:
    figures = predicate()["measured"]["figures"]
    figures[0] = {"name": "R", "value": 2.5, "high": 1.5, "passed": False}
    measured = {"figures": figures, "oracles": 2}
    text = page(outcome="rejected", release=None, measured=measured)
    assert "Not released." in text
    assert "trained again without the examples" in text
    assert "2.5 at most 1.5 no –" in text
    assert "Rejected 2026-11-27T07:30:00Z" in text
    assert "not in the log yet" in text


def test_a_partial_result_does_not_read_as_done() -> None:
    done = predicate()["done"] | {"results": {"erased": 2, "failed": 1}}
    text = page(done=done)
    assert "Released, for a part of the requests" in text
    assert "Requests failed 1" in text


def test_a_retraining_needs_no_figures() -> None:
    done = predicate()["done"] | {"kind": "retrained", "method": "retrain"}
    text = page(done=done, measured={"figures": [], "oracles": 0}, old_versions=[])
    assert "trained again without the examples" in text
    assert "Nothing was measured" in text
    assert "None is on record" in text


def test_every_figure_and_every_limit_has_its_words() -> None:
    assert set(FIGURES) == set(get_args(FigureName))
    assert set(LIMITS) == set(get_args(Limit))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2.1: from 1 to 21."""

    def light(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_light_dark_and_print_can_be_read(which: int) -> None:
    whole = report_page(build("digits", DIGEST, predicate()))
    blocks = re.findall(r":root \{([^}]*)\}", whole)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[which]))
    for ink in ("ink", "soft", "good", "bad"):
        for ground in ("page", "band"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast("#000", "#fff") == pytest.approx(21)
