"""A report: what it says, section by section, and the one page that all commands make of it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from curenu.report.column import Column
from curenu.report.glossary import TERMS
from curenu.report.marks import LEGEND
from curenu.report.model import NOTHING, Model, methods_among, named
from curenu.report.tables import folded, front
from curenu.report.tracks import tracks_of
from curenu.report.verdict import Verdict, grouped, verdict_of

__all__ = ["Asked", "Plot", "Report", "Section", "Table"]


@dataclass(frozen=True)
class Asked:
    """A request: whose, what went, by which method, and how it ended. Empty is not shown."""

    name: str
    erased: str = ""
    method: str = ""
    status: str = ""
    date: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawing as SVG text, its title, and what it shows in words."""

    title: str
    words: str
    svg: str


@dataclass(frozen=True)
class Table:
    """A table of texts; folded unless `open_`."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    open_: bool = False


@dataclass(frozen=True)
class Section:
    """Models compared on one request, or plots and tables of something else.

    `featured` is the model whose verdict leads; without it all methods are grouped by theirs.
    `notes` say what was not done or failed, `conclusions` what follows and what does not.
    """

    title: str
    about: str = ""
    models: tuple[Model, ...] = ()
    featured: str | None = None
    notes: tuple[str, ...] = ()
    conclusions: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """Of the featured model."""
        return None if self.featured is None else verdict_of(self.models, self.featured)


@dataclass(frozen=True)
class Report:
    """All that a page shows. `provenance` says when, with what and on which data it was made."""

    title: str
    about: str
    sections: tuple[Section, ...]
    requests: tuple[Asked, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)

    def html(self) -> str:
        """The page, self-contained: styles and plots inside, nothing fetched from elsewhere."""
        environment = Environment(
            loader=PackageLoader("curenu.report"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        environment.filters["anchor"] = _anchor
        page = environment.get_template("report.html").render(
            report=self,
            sections=[_shown(place, section) for place, section in enumerate(self.sections, 1)],
            requests=_requests(self.requests),
            columns=_columns(self.sections),
            terms=TERMS,
            legend=LEGEND,
        )
        return page.encode("utf-8", "backslashreplace").decode()  # half a character, from a name


def _shown(place: int, section: Section) -> dict[str, Any]:
    """A section with everything that is made from its models."""
    models = section.models
    methods = methods_among(models)
    return {
        "id": f"s{place}",
        "told": section,
        "verdict": section.verdict,
        "groups": grouped(models) if len(methods) > 1 else [],
        "front": front(models) if models else None,
        "judged": len(methods) > 1,
        "folded": folded(models),
        "tracks": tracks_of(models),
        "level": bool(models) and named(models, NOTHING) is not None and not tracks_of(models),
        "statuses": [(m.name, m.status) for m in models if m.status],
        "failed": [(m.name, reason) for m in models for reason in dict.fromkeys(m.failed)],
        "plots": [
            (plot, _apart(plot.svg, f"s{place}p{number}-", plot))
            for number, plot in enumerate(section.plots, 1)
        ],
        "open": [table for table in section.tables if table.open_],
        "closed": [table for table in section.tables if not table.open_],
    }


def _requests(asked: Sequence[Asked]) -> Table | None:
    """The requests, without columns that none has anything in."""
    if not asked:
        return None
    headings = {"request": "name", "erased": "erased", "method": "method", "status": "status",
                "date": "date"}  # fmt: skip
    kept = {h: f for h, f in headings.items() if any(getattr(one, f) for one in asked)}
    rows = tuple(tuple(getattr(one, f) or "–" for f in kept.values()) for one in asked)
    return Table("Every request on record", tuple(kept), rows)


def _columns(sections: Sequence[Section]) -> list[Column]:
    """Every column that any section shows, once."""
    found: dict[str, Column] = {}
    for section in sections:
        if section.models:
            for table in (front(section.models), *folded(section.models)):
                found |= {column.figure: column for column in table.columns}
    return list(found.values())


def _anchor(figure: str) -> str:
    """A figure's name as the end of a link: letters and digits stay, others become numbers."""
    return "".join(c if c.isalnum() and c.isascii() else f"-{ord(c):x}" for c in figure)


def _apart(svg: str, prefix: str, plot: Plot) -> str:
    """The drawing with names of its own for its parts, and said to be a picture of what."""
    own = re.sub(r'\bid="', f'id="{prefix}', svg)
    own = re.sub(r"url\(#", f"url(#{prefix}", own)
    own = re.sub(r'href="#', f'href="#{prefix}', own)
    label = html.escape(f"{plot.title}. {plot.words}")
    return own.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
