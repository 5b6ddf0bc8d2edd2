"""Which of several methods is nearest to the oracle in a column, and which is worse than none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curenu.report.column import Column
from curenu.report.figure import Figure
from curenu.report.model import NOTHING, ORACLE, Model

__all__ = ["LEGEND", "Shown", "marked"]

LEGEND = (
    "Bold: nearest to the oracle in its column, of all methods. "
    "●: where one further oracle would fall in 95 %, which doing nothing does not. "
    "▾: further from the oracle than doing nothing, by more than both intervals. "
    "R below 1 counts as 1. Of a single network nothing is marked ● or ▾."
)

_RATIOS = ("Rf", "Rr", "Rt", "Df", "Dr", "Dt")
"""At or below 1 these are as near as two retrainings are: no value below is worse."""


@dataclass(frozen=True)
class Shown:
    """A figure as it is shown, and what it is marked with."""

    text: str
    best: bool = False
    mark: str = ""


Text = Callable[[Figure | None, Column], str]


def marked(models: Sequence[Model], columns: Sequence[Column], text: Text) -> list[list[Shown]]:
    """A list of cells a model, judged column by column as `LEGEND` says; `text` writes a figure."""
    judged = [_judged(models, column, text) for column in columns]
    return [[column[place] for column in judged] for place in range(len(models))]


def _judged(models: Sequence[Model], column: Column, text: Text) -> list[Shown]:
    figures = {model.name: model.figures.get(column.figure) for model in models}
    oracle, nothing = figures.get(ORACLE), figures.get(NOTHING)
    texts = [text(figures[model.name], column) for model in models]
    if not column.judged or oracle is None:
        return [Shown(text) for text in texts]
    away = {name: _away(f, oracle, column.figure) for name, f in figures.items() if f is not None}
    rivals = {name: gap for name, gap in away.items() if name not in (ORACLE, NOTHING)}
    nearest = min(rivals.values(), default=0.0)
    alone = len(rivals) > 1 and list(rivals.values()).count(nearest) == 1
    shown = []
    for model, written in zip(models, texts, strict=True):
        figure = figures[model.name]
        if figure is None or model.reference:
            shown.append(Shown(written))
            continue
        mark = _mark(figure, oracle, nothing, column.figure)
        shown.append(Shown(written, alone and rivals[model.name] == nearest, mark))
    return shown


def _value(figure: Figure, name: str) -> float:
    return max(figure.mean, 1.0) if name in _RATIOS else figure.mean


def _away(figure: Figure, oracle: Figure, name: str) -> float:
    return abs(_value(figure, name) - _value(oracle, name))


def _mark(figure: Figure, oracle: Figure, nothing: Figure | None, name: str) -> str:
    if nothing is None or oracle.prediction is None or min(figure.count, nothing.count) < 2:
        return ""
    low, high = oracle.prediction
    if low <= _value(nothing, name) <= high:
        return ""  # a column in which doing nothing passes for an oracle tells nothing
    if low <= _value(figure, name) <= high:
        return "●"
    worse = _away(figure, oracle, name) - _away(nothing, oracle, name)
    return "▾" if worse > figure.half + nothing.half else ""
