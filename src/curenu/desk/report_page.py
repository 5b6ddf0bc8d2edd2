"""The report of an erasure as one page for people, made from a statement and nothing else."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from curenu.desk.forms import written
from curenu.desk.predicate import Figure, FigureName, Limit, Predicate, Results
from curenu.desk.statement import predicate_of
from curenu.status import Status

__all__ = ["FIGURES", "LIMITS", "report_page"]

FIGURES: dict[FigureName, tuple[str, str]] = {
    "R": (
        "R, distance from retraining",
        "How far the model's answers are from those of models trained without the examples, "
        "divided by how far two such models are from each other. At 1 it cannot be told apart.",
    ),
    "G": (
        "G, share of the gap closed",
        "How much of the way from the old model to a retrained one was gone. At 1 all of it.",
    ),
    "membership_attack": (
        "Membership attack",
        "How well an attack tells the erased examples from examples that the model never saw. "
        "At 0.5 it is guessing.",
    ),
    "holdout_loss": (
        "Loss on held-out examples",
        "How wrong the model is on examples that it was not trained on. Lower is better.",
    ),
}
"""What each figure is called, and what it says."""

LIMITS: dict[Limit, str] = {
    "approximate": "That nothing of the examples is left in the model. The erasure is approximate, "
    "and the figures say how close it came. Only training again without them leaves nothing.",
    "other_copies": "That no other copy of an older model exists, in a backup or elsewhere.",
    "recipients": "That those who received an older model have deleted it; only that they were "
    "told, and whether they answered.",
    "derived": "That no model was made from an older one, by further training or conversion.",
    "clock": "That the times are right: they are those of the operator's clock.",
    "operator": "That the operator entered every request that was made.",
}
"""What a statement does not prove, in sentences that follow "It does not prove"."""

_GROUNDS = {
    "a": "freedom of expression and information",
    "b": "a legal obligation or a task in the public interest",
    "c": "public health",
    "d": "archiving, research or statistics",
    "e": "legal claims",
}


def report_page(statement: dict[str, Any]) -> str:
    """The page of a verified `statement`: HTML that fetches nothing and names nobody.

    Raises pydantic's `ValidationError` for a statement outside the schema.
    """
    said = predicate_of(statement)
    (subject,) = statement["subject"]
    environment = Environment(
        loader=PackageLoader("curenu.desk"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        model=subject["name"],
        sha256=subject["digest"]["sha256"],
        said=said,
        headline=_headline(said),
        results=_results(said.done.results),
        status=Status[said.done.status].value,
        figures=[(*FIGURES[one.name], one, _bar(one)) for one in said.measured.figures],
        limits=[LIMITS[limit] for limit in said.limits],
        number=_number,
        written=written,
    )


def _headline(said: Predicate) -> str:
    """What came of it, in the words that may be used for it."""
    if said.outcome == "rejected":
        return (
            "Not released. What was measured did not suffice, so nobody counts as erased; "
            "the model is to be trained again without the examples."
        )
    if said.done.kind == "retrained":
        return "Released. The model was trained again without the examples."
    partly = said.done.results.failed > 0
    return (
        f"Released{', for a part of the requests' if partly else ''}. An approximate erasure, "
        "measured as shown below; every figure is within its bar."
    )


def _results(told: Results) -> list[tuple[str, int]]:
    grounds = "; ".join(_GROUNDS[ground] for ground in told.grounds)
    rows = [
        ("erased from the model", told.erased),
        ("not in the model", told.not_in_model),
        (f"kept, on the ground of {grounds}", told.retained),
        ("failed", told.failed),
    ]
    return [(name, count) for name, count in rows if count]


def _bar(figure: Figure) -> str:
    low, high = figure.low, figure.high
    if low is None:
        return f"at most {_number(high)}"
    return f"at least {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    """Three digits, or a dash where there is no figure."""
    return "–" if value is None else f"{value:.3g}"
