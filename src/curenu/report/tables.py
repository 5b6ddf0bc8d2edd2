"""Which figures of a report stand in front, and which are folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curenu.report.column import Column, columns_of
from curenu.report.figure import LARGE, Figure, written
from curenu.report.marks import Shown, marked
from curenu.report.model import NOTHING, Model, above_noise, first_of, named

__all__ = ["FigureTable", "folded", "front"]

_SLOTS = (
    ("Rf", "Df", "loss f"),
    ("G loss",),
    ("RMIA AUC", "loss attack AUC"),
    ("model utility", "TA", "loss t"),
    ("ratio",),
)
"""The columns in front beside the name: of each slot the first that was measured."""

_GROUPS = {
    "Closeness to retraining": ("Rf", "Rr", "Rt", "Df", "Dr", "Dt", "JSD f", "JSD r", "JSD t"),
    "The gap that was closed": ("G accuracy", "G loss", "G margin", "ToW"),
    "Accuracy and loss": ("FA", "RA", "TA", "loss f", "loss r", "loss t"),
    "Attacks": ("RMIA AUC", "RMIA TPR", "loss attack AUC", "loss attack TPR", "U-LiRA AUC",
                "KLoM 50 %", "forgetting score"),
    "Language": ("probability f", "model utility", "forget quality"),
    "Weights": ("update_norm", "distance", "|∇F|", "lambda_min", "damping"),
    "Cost": ("products", "seconds", "ratio", "examples ratio", "weighted ratio"),
}  # fmt: skip
"""The tables that are folded; what stands in front is not repeated."""


@dataclass(frozen=True)
class FigureTable:
    """Columns, and a line a model: the model and its cells under them."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[tuple[Model, tuple[Shown, ...]], ...]


def front(models: Sequence[Model]) -> FigureTable:
    """At most six columns with the name: distance, gap closed, attack, use, and cost.

    G has its column, of dashes, also where no model has any: there is no gap above the noise.
    """
    models = above_noise(models)
    return _table("Models compared", models, _in_front(models))


def folded(models: Sequence[Model]) -> list[FigureTable]:
    """All other figures that were measured, by what they are about."""
    models = above_noise(models)
    shown = set(_in_front(models))
    tables = []
    for title, group in _GROUPS.items():
        own = [f for f in group if f not in shown and first_of(models, f)]
        if own:
            tables.append(_table(title, models, own))
    return tables


def _in_front(models: Sequence[Model]) -> list[str]:
    found = []
    for slot in _SLOTS:
        figure = first_of(models, *slot)
        if figure is None and slot == ("G loss",) and named(models, NOTHING) and found:
            figure = "G loss"
        if figure is not None:
            found.append(figure)
    return found


def _table(title: str, models: Sequence[Model], figures: Sequence[str]) -> FigureTable:
    columns = columns_of(*figures)
    cells = marked(models, columns, _text)
    lines = tuple((m, tuple(own)) for m, own in zip(models, cells, strict=True))
    return FigureTable(title, columns, lines)


def _text(figure: Figure | None, column: Column) -> str:
    if figure is None:
        return "–"
    if column.counted:
        return f"{figure.mean:,.0f}"
    text = written(figure.mean, column.digits)
    if figure.interval is None or not column.judged or not abs(figure.mean) <= LARGE:
        return text
    if figure.half < 0.5 * 10.0**-column.digits:
        return text
    return f"{text} ± {written(figure.half, column.digits)}"
