"""The report as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from curenu.report.plots import SpectrumView, damping_plot, spectrum_plot, update_plot
from curenu.report.row import Row
from curenu.report.table import cells, columns_for, number

__all__ = ["Report", "render"]


@dataclass(frozen=True)
class Report:
    """Everything a report shows: what was erased, the comparison, the spectrum.

    `conclusions` are sentences about what follows from the comparison.
    """

    title: str
    facts: dict[str, str]
    rows: tuple[Row, ...]
    spectrum: SpectrumView | None = None
    conclusions: tuple[str, ...] = ()

    def html(self) -> str:
        """The page, with its plots inside and nothing fetched from elsewhere."""
        return render(
            "report.html",
            title=self.title,
            facts=self.facts,
            columns=columns_for(self.rows),
            conclusions=self.conclusions,
            lines=list(zip(self.rows, cells(self.rows), strict=True)),
            spectrum=self.spectrum,
            spectrum_plot=spectrum_plot(self.spectrum) if self.spectrum else None,
            damping_plot=damping_plot(self.rows),
            update_plot=update_plot(self.rows),
            floor=_floor(self.rows),
            number=number,
        )


def render(template: str, **values: Any) -> str:
    """The page that a template of this package makes of `values`."""
    environment = Environment(
        loader=PackageLoader("curenu.report"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode()  # half a character, from a name


def _floor(rows: Sequence[Row]) -> str | None:
    """The noise floor on the forget set, as any row's reference has it."""
    found = next((f for row in rows if (f := row.finding("JSD f"))), None)
    return None if found is None or found.reference is None else number(found.reference, 4)
