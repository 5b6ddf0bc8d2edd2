"""From findings to a table, JSON and a page with plots."""

from curenu.report.column import Column, columns_of
from curenu.report.document import document
from curenu.report.html import Report, render
from curenu.report.plots import SpectrumView
from curenu.report.row import Row, finite
from curenu.report.table import COLUMNS, cells, columns_for, markdown, number

__all__ = [
    "COLUMNS",
    "Column",
    "Report",
    "Row",
    "SpectrumView",
    "cells",
    "columns_for",
    "columns_of",
    "document",
    "finite",
    "markdown",
    "number",
    "render",
]
