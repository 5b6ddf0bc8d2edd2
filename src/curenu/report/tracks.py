"""Dot plots: where each model stands between doing nothing and the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from curenu.report.column import columns_of
from curenu.report.figure import Figure, written
from curenu.report.model import NOTHING, ORACLE, Model, first_of, named

__all__ = ["Dot", "Tracks", "tracks_of"]

_LEFT, _RIGHT = 14.0, 80.0  # where doing nothing and the oracle stand, in percent of the width
_NEAR, _SAME = 1.05, 0.01  # times a distance, and of an AUC or a loss: nearer is no way to draw
_FIGURES = (
    ("Outputs on the erased examples", ("Rf", "Df", "loss f")),
    ("Membership attack", ("RMIA AUC", "loss attack AUC")),
)


@dataclass(frozen=True)
class Dot:
    """One model's row: the dot and its interval in percent of the width, and all of it in words.

    `beyond` is "left" or "right" for a dot outside the plot, which is drawn as an arrow.
    """

    name: str
    text: str
    words: str
    at: float
    low: float
    high: float
    beyond: str = ""
    reference: bool = False


@dataclass(frozen=True)
class Tracks:
    """A plot of one figure: its two ends and a row a model."""

    title: str
    figure: str
    heading: str
    nothing: str
    oracle: str
    dots: tuple[Dot, ...]
    left: float = _LEFT
    right: float = _RIGHT


def tracks_of(models: Sequence[Model]) -> list[Tracks]:
    """A plot of the distance from the oracles and one of the attack, as far as they were measured.

    None of a figure in which doing nothing is as good as the oracle: there is no way between.
    """
    nothing, oracle = named(models, NOTHING), named(models, ORACLE)
    if nothing is None or oracle is None:
        return []
    found = []
    for title, figures in _FIGURES:
        figure = first_of(models, *figures)
        if figure is None or figure not in nothing.figures or figure not in oracle.figures:
            continue
        ends = nothing.figures[figure], oracle.figures[figure]
        if _apart(figure, *ends):
            found.append(_tracks(models, title, figure, *ends))
    return found


def _apart(name: str, nothing: Figure, oracle: Figure) -> bool:
    if not (math.isfinite(nothing.mean) and math.isfinite(oracle.mean)):
        return False
    if name in ("Rf", "Df"):
        return nothing.mean > _NEAR * oracle.mean > 0
    low, high = nothing.ends
    return abs(nothing.mean - oracle.mean) > _SAME and not low <= oracle.mean <= high


def _tracks(
    models: Sequence[Model], title: str, name: str, nothing: Figure, oracle: Figure
) -> Tracks:
    logarithmic = name in ("Rf", "Df") and min(nothing.mean, oracle.mean) > 0

    def scaled(value: float) -> float:
        return math.log(max(value, 1e-12)) if logarithmic else value

    def place(value: float) -> float:
        if math.isnan(value):
            return _LEFT
        if math.isinf(value):
            return math.copysign(math.inf, value * (oracle.mean - nothing.mean))
        start, end = scaled(nothing.mean), scaled(oracle.mean)
        return _LEFT + (_RIGHT - _LEFT) * (scaled(value) - start) / (end - start)

    ends = f"do nothing {written(nothing.mean)}, oracle {written(oracle.mean)}"
    dots = []
    for model in models:
        figure = model.figures.get(name)
        if figure is None or math.isnan(figure.mean):
            continue
        at, (low, high) = place(figure.mean), sorted(map(place, figure.ends))
        beyond = "left" if at < 1 else "right" if at > 99 else ""
        interval = ""
        if figure.interval is not None:
            interval = f", 95 % interval {written(figure.ends[0])} to {written(figure.ends[1])}"
        words = f"{model.name}: {written(figure.mean)}{interval}; {ends}."
        dots.append(
            Dot(model.name, written(figure.mean), words, _inside(at), _inside(low), _inside(high),
                beyond, model.reference)
        )  # fmt: skip
    (column,) = columns_of(name)
    return Tracks(
        title, name, column.heading, written(nothing.mean), written(oracle.mean), tuple(dots)
    )


def _inside(percent: float) -> float:
    return round(min(max(percent, 2.0), 98.0), 2)
