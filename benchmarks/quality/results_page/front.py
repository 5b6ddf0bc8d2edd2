"""`docs/results.md`: the headline table and picture for a stranger, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence

from curenu.report import markdown_table
from results_page.headline import entries, sentences, table
from results_page.source import Source

__all__ = ["FIRST", "PICTURE", "front", "headlined"]

FIRST = (
    "anchored-adult", "anchored-fashion-mnist", "anchored-newsgroups", "anchored-digits",
    "recommender-users",
)  # fmt: skip
"""The files of the headline, in its order."""
PICTURE = "results/headline.svg"
WHICH = """These are development tasks: the defaults were chosen with an eye on them, and no task of
this page was kept apart for reporting. [Tasks of others](strangers.md) has eight on which nothing
was decided."""
HOW = """## How to read the tables

Headings lead to the [glossary](glossary.md), and [Concepts](concepts.md) explains R and G with an
example. ± is half a 95 % interval over trained networks; with two of them it is wide. R below 1
counts as 1. A dash: there was no gap to close, or the figure was not counted.

Cost is in examples passed over those of one retraining: *examples ÷* counts each pass as one,
*weighted ÷* by its work (forward 1, gradient 3, product as counted). A dash there: the run was made
before weighted examples were counted. Seconds are left out, because the networks were trained at
other times than the erasures ran.

‡ beside a method: what tuning chose is at the edge of its grid. *older*: made before the present
defaults; the list of files says why. [Run a benchmark](bench.md) says what is compared with what.
"""
FILES = """## The files behind the figures

Everything here is made by `make results` from the JSON in `benchmarks/quality/results` and the
remarks beside it. A test holds the first sixteen digits of each file's SHA-256 below against the
file; the page of a task has all of it.
"""


def headlined(found: Sequence[Source]) -> list[Source]:
    """The files of the headline, in its order."""
    named = {source.name: source for source in found}
    return [named[name] for name in FIRST if name in named]


def front(found: Sequence[Source]) -> str:
    """The page of all files of results."""
    rows = entries(headlined(found))
    parts = ["# Results"]
    if rows:
        alt = "R on the forget set before and after, one line an erasure; the table has the numbers"
        parts += [
            sentences(rows),
            WHICH,
            f"![{alt}]({PICTURE})",
            "## The default method in one table",
            f"`{rows[0].default.method}`, nothing set, and the tuned rival that ended nearest.",
            table(rows),
        ]
    return "\n\n".join([*(part.strip() for part in [*parts, HOW, FILES]), _files(found)]) + "\n"


def _files(found: Sequence[Source]) -> str:
    """A row a file: its page, when and by what it was made, whether it is older, its digest."""
    rows = []
    first = {name: place for place, name in enumerate(FIRST)}
    for source in sorted(found, key=lambda s: (first.get(s.name, len(first)), s.name)):
        results = source.results
        made = (results.get("date") or "–", results.get("commit") or "–")
        age = f"older: {source.older}" if source.older else "present"
        rows.append([
            f"[{source.title}]({source.page})", source.path.name, *made, age,
            f"`{source.digest[:16]}`",
        ])  # fmt: skip
    heads = ["page", "file", "made on", "commit", "defaults", "SHA-256"]
    return markdown_table(heads, rows)
