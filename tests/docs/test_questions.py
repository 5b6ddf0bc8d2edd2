"""Each of the thirty questions leads to a section that has the words promised."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, sections

ROWS = re.findall(
    r"^\| ([^|]+\?|[^|]+) \| \[[^\]]+\]\(([\w./-]+)#([\w-]+)\) \| (.+) \|$",
    (DOCS / "questions.md").read_text(),
    re.M,
)


def test_there_are_ten_questions_of_each_kind_of_reader() -> None:
    parts = (DOCS / "questions.md").read_text().split("\n## ")[1:]
    assert [len(re.findall(r"^\|.*\]\(.*#", part, re.M)) for part in parts] == [10, 10, 10]
    assert len(ROWS) == 30


@pytest.mark.parametrize(("question", "page", "anchor", "words"), ROWS)
def test_a_question_is_answered_where_it_leads(
    question: str, page: str, anchor: str, words: str
) -> None:
    found = sections(DOCS / page)
    assert anchor in found, (question, list(found))
    plain = " ".join(found[anchor].split())
    assert " ".join(words.split()) in plain, question
