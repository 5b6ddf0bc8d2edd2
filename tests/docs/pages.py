"""Pages of the documentation as sections by their anchors, read from Markdown."""

from __future__ import annotations

import re
from pathlib import Path

from markdown.extensions.toc import slugify, unique

__all__ = ["DOCS", "Section", "sections"]

DOCS = Path(__file__).parents[2] / "docs"

Section = tuple[int, str]
"""Level of the heading, and the text up to the next heading that is not below it."""


def sections(path: Path) -> dict[str, str]:
    """The text of every section of a page, subsections included, by the anchor of its heading."""
    text = re.sub(r"^```.*?^```", _blank, path.read_text(), flags=re.S | re.M)
    heads = list(re.finditer(r"^(#+) (.+?)(?: \{ ?#([\w-]+)[^}]*\})?$", text, re.M))
    found: dict[str, str] = {}
    used: set[str] = set()
    for place, head in enumerate(heads):
        after = (h.start() for h in heads[place + 1 :] if len(h[1]) <= len(head[1]))
        words = re.sub(r"[`*$]|\]\([^)]*\)|\[", "", head[2])
        anchor = head[3] or unique(slugify(words, "-"), used)
        found[anchor] = path.read_text()[head.start() : next(after, len(text))]
    return found


def _blank(match: re.Match[str]) -> str:
    """As many characters without a heading: what is commented in code is none."""
    return re.sub(r"[^\n]", " ", match[0])
