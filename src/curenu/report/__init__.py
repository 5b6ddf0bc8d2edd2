"""From findings to a table, JSON and a page with plots."""

from curenu.report.document import document
from curenu.report.html import Report, render
from curenu.report.plots import SpectrumView
from curenu.report.row import Row, finite
from curenu.report.table import COLUMNS, cells, markdown, number

__all__ = [
    "COLUMNS",
    "Report",
    "Row",
    "SpectrumView",
    "cells",
    "document",
    "finite",
    "markdown",
    "number",
    "render",
]
