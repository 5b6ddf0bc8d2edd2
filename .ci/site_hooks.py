"""Hooks of the documentation site: formulas, tables that scroll, links to the glossary, version.

`mkdocs.yml` names this file. Formulas are written in LaTeX between dollar signs and become MathML
when the site is built, so that a page needs no script and no network to show them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parent.parent
GLOSSARY = "glossary.md"
TERM = re.compile(r"^### (?P<title>.+?) \{ ?#(?P<anchor>[\w-]+)(?P<rest>[^}]*)\}", re.M)
ALSO = re.compile(r"^In tables: (?P<names>.+)\.$", re.M)


def on_config(config: Any) -> Any:
    """Show the version beside the name, and the repository that `pyproject.toml` names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.site_name = f"{project['name']} {project['version']}"
    urls = {name.lower(): url for name, url in project.get("urls", {}).items()}
    config.repo_url = urls.get("repository") or urls.get("source") or config.repo_url
    return config


def terms(text: str) -> dict[str, str]:
    """The anchor of every term of the glossary, by the words that tables have for it."""
    found: dict[str, str] = {}
    headings = list(TERM.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=False):
        body = text[heading.end() : end]
        names = ALSO.search(body)
        for name in re.findall(r"`([^`]+)`", names["names"]) if names else ():
            found[name] = heading["anchor"]
    return found


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Make MathML of formulas, and tables that a keyboard can scroll, with their terms linked."""
    known = terms((Path(config.docs_dir) / GLOSSARY).read_text())
    place = files.get_file_from_path(GLOSSARY).url_relative_to(page.file)
    html = re.sub(
        r'<(?P<tag>span|div) class="arithmatex">(?P<formula>.*?)</(?P=tag)>', formula, html,
        flags=re.S,
    )  # fmt: skip
    html = re.sub(r"<th([^>]*)>(.*?)</th>", linked(known, place), html, flags=re.S)
    return re.sub(r"<table>(.*?)</table>", numbered(), html, flags=re.S)


def formula(match: re.Match[str]) -> str:
    """MathML for one formula; a displayed one with its number."""
    text = unescape(match["formula"]).strip()[2:-2].strip()
    if match["tag"] == "span":
        return tight(convert(text))
    tag = re.search(r"\\tag\{(\d+)\}", text)
    label = f"Equation {tag[1]}" if tag else "Equation"
    text = text.replace(tag[0], "") if tag else text
    number = f'<span class="number">({tag[1]})</span>' if tag else ""
    anchor = f' id="eq-{tag[1]}"' if tag else ""
    made = tight(convert(text, display="block"))
    return (
        f'<div class="equation"{anchor} role="group" aria-label="{label}" tabindex="0">'
        f"{made}{number}</div>"
    )


def tight(made: str) -> str:
    """Bars of a length without the room that an operator has around it."""
    return made.replace(
        '<mo stretchy="false">&#x0007C;</mo>', '<mo stretchy="false" lspace="0" rspace="0">|</mo>'
    )


def linked(known: dict[str, str], place: str) -> Callable[[re.Match[str]], str]:
    """A heading of a table, linked to the glossary where that has a term of this name."""

    def replace(match: re.Match[str]) -> str:
        words = unescape(re.sub(r"<[^>]+>", "", match[2])).strip()
        if words not in known or "<a " in match[2]:
            return match[0]
        return f'<th{match[1]}><a href="{place}#{known[words]}">{match[2]}</a></th>'

    return replace


def numbered() -> Callable[[re.Match[str]], str]:
    """Tables in a frame that takes the focus and scrolls, named by their number on the page."""
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        # An empty heading is no heading to a screen reader: a plain cell.
        body = re.sub(r"<th[^>]*>\s*</th>", "<td></td>", match[1])
        return (
            f'<div class="scroll" role="group" aria-label="Table {count}" tabindex="0">'
            f'<table class="data">{body}</table></div>'
        )

    return replace


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Name the dialog of the search, which the theme leaves without a name."""
    return output.replace(
        'data-md-component="search" role="dialog"',
        'data-md-component="search" role="dialog" aria-label="Search"',
    )
