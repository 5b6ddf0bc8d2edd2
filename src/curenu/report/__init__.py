"""From findings to a table, JSON and a page with plots."""

from curenu.report.column import Column, columns_of
from curenu.report.document import document
from curenu.report.figure import Figure, number
from curenu.report.marks import LEGEND, Shown, marked
from curenu.report.model import NOTHING, ORACLE, Model
from curenu.report.page import Asked, Plot, Report, Section, Table
from curenu.report.plots import damping_plot
from curenu.report.row import Row, finite
from curenu.report.table import COLUMNS, cells, columns_for, markdown, markdown_table
from curenu.report.verdict import Verdict, verdict_of

__all__ = [
    "COLUMNS",
    "LEGEND",
    "NOTHING",
    "ORACLE",
    "Asked",
    "Column",
    "Figure",
    "Model",
    "Plot",
    "Report",
    "Row",
    "Section",
    "Shown",
    "Table",
    "Verdict",
    "cells",
    "columns_for",
    "columns_of",
    "damping_plot",
    "document",
    "finite",
    "markdown",
    "markdown_table",
    "marked",
    "number",
    "verdict_of",
]
