"""What came of an erasure, in plain sentences: the first thing that a report says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from curenu.report.figure import Figure, written
from curenu.report.model import (
    NOTHING,
    ORACLE,
    Model,
    above_noise,
    first_of,
    methods_among,
    named,
)

__all__ = ["CLOSED", "KINDS", "OPEN", "Kind", "Verdict", "grouped", "verdict_of"]

CLOSED = 0.9
"""Share of the gap to retraining from which on it is called closed."""

OPEN = 0.1
"""Share below which the gap is called open."""

_FALL = 0.01  # of an accuracy, and a twentieth of a loss: less is not called harm
_RISE = 0.05

_MOVED, _GAP, _ATTACK, _STAYS, _COST = (
    "Did the model move?",
    "How much of the gap to retraining is closed?",
    "What does a membership attack find?",
    "Is what stays unharmed?",
    "What did it cost?",
)
_FAR = 2.0  # times: what has no interval must be so much further away to be called worse

Kind = Literal["closed", "part", "open", "no gap", "dear", "harmed", "unmoved", "failed"]

KINDS: dict[Kind, str] = {
    "closed": "Closed the gap, harmed nothing, cheaper than retraining",
    "part": "Closed a part of the gap, harmed nothing, cheaper than retraining",
    "open": "Left the gap open; harmed nothing, cheaper than retraining",
    "no gap": "No gap could be measured; harmed nothing, cheaper than retraining",
    "dear": "Dearer than retraining",
    "harmed": "Did harm",
    "unmoved": "Did not move the model",
    "failed": "Failed",
}
"""The kinds of verdicts, from good to bad, as headings of a list of methods."""


@dataclass(frozen=True)
class Verdict:
    """One method's verdict: its kind, a headline, and answers to the questions a reader has."""

    name: str
    kind: Kind
    headline: str
    answers: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """The headline, the gap, the attack, the harm if any and the cost, as one paragraph."""
        told = [answer for question, answer in self.answers if question in self._said]
        return " ".join([f"{self.name}: {self.headline}", *told])

    @property
    def _said(self) -> tuple[str, ...]:
        if self.kind == "unmoved":
            return (_COST,)
        stays = (_STAYS,) if self.kind == "harmed" else ()
        return (_GAP, _ATTACK, *stays, _COST)


def verdict_of(models: Sequence[Model], name: str) -> Verdict:
    """What the method `name` did, judged beside doing nothing and the oracles in `models`.

    The gap is closed from `CLOSED` on. Harm is a forget set further from the oracles than
    before, or an accuracy (loss) of what stays that is worse than both without erasing and
    retrained, by more than its interval and by a hundredth (a twentieth of the loss). Without
    an interval a forget set is only called further away from twice the distance on. A gap is
    called open where less than `OPEN` of it was closed.
    """
    models = above_noise(models)
    own = named(models, name)
    if own is None or not own.figures:
        reason = own.failed[0] if own is not None and own.failed else "it has no figures"
        return Verdict(name, "failed", f"failed: {reason}")
    nothing, oracle = named(models, NOTHING), named(models, ORACLE)
    moved = own.figures.get("update_norm")
    share = _share(own, nothing)
    worse, stays = _further(own, nothing), _stays(own, nothing, oracle)
    ratio = own.figures.get("ratio")
    dear = ratio is not None and ratio.mean >= 1
    kind = _closing(share)
    headline = _HEADLINES[kind].format(share=_percent(max(share or 0.0, 0.0)))
    if nothing is None:
        headline = "The model before is not kept, so how much was erased cannot be measured."
    if dear:
        kind = "dear"
        headline = headline.removesuffix(".") + ", and retraining would have been cheaper."
    if worse or any(harm for _, harm in stays):
        where = "The erasure moved away from retraining" if worse else "What stays was harmed"
        cost = "; retraining would have been cheaper." if dear else "."
        kind, headline = "harmed", where + cost
    if moved is not None and moved.mean == 0:
        kind, headline = "unmoved", "Nothing was erased: the model has not moved."
    answers = (
        (_MOVED, _movement(moved)),
        (_GAP, _gap(own, nothing, share)),
        (_ATTACK, _attack((nothing, own, oracle))),
        (_STAYS, " ".join(said for said, _ in stays)),
        (_COST, _cost(own, oracle)),
    )
    return Verdict(name, kind, headline, tuple(pair for pair in answers if pair[1]))


def _closing(share: float | None) -> Kind:
    if share is None:
        return "no gap"
    return "closed" if share >= CLOSED else "part" if share >= OPEN else "open"


_HEADLINES = {
    "closed": "By their loss, the model treats the erased examples as a retrained one would.",
    "part": "{share} of the gap to retraining is closed.",
    "open": "The gap to retraining is still open.",
    "no gap": "The erased examples leave no gap to retraining that could be told from chance.",
}


def grouped(models: Sequence[Model]) -> list[tuple[str, list[str]]]:
    """Every method under the heading of its kind in `KINDS`, from good to bad."""
    found = [verdict_of(models, model.name) for model in methods_among(models)]
    return [
        (heading, own)
        for kind, heading in KINDS.items()
        if (own := [verdict.name for verdict in found if verdict.kind == kind])
    ]


def _share(own: Model, nothing: Model | None) -> float | None:
    """Of the gap, what was closed: G of the loss, or else of R; None where there is no gap."""
    if "G loss" in own.figures:
        return own.figures["G loss"].mean
    pair = _pair(own, nothing, "Rf", "Df")
    if pair is None or pair[1].ends[0] <= 1:
        return None
    here, there = pair
    return 1 - max(here.mean - 1, 0.0) / (there.mean - 1)


def _further(own: Model, nothing: Model | None) -> bool:
    """Whether it is further from the oracles on the forget set than before, beyond intervals."""
    pair = _pair(own, nothing, "Rf", "Df")
    if pair is None:
        return False
    here, there = pair
    margin = _FAR if here.interval is None else 1.0
    return here.ends[0] > margin * max(there.ends[1], 1.0)


def _pair(own: Model, other: Model | None, *figures: str) -> tuple[Figure, Figure] | None:
    """The first of `figures` that both models have."""
    if other is None:
        return None
    both = (f for f in figures if f in own.figures and f in other.figures)
    return next(((own.figures[f], other.figures[f]) for f in both), None)


def _movement(moved: Figure | None) -> str:
    if moved is None:
        return "Not known: the model from before is not kept."
    if moved.mean == 0:
        return "No: every weight is what it was."
    return f"Yes: its weights moved by {written(moved.mean, 3)} in all (Euclidean length)."


def _gap(own: Model, nothing: Model | None, share: float | None) -> str:
    said = ""
    if "G loss" in own.figures:
        figure = own.figures["G loss"]
        interval = ""
        if figure.interval is not None:
            interval = f" (95 % interval {_percent(figure.ends[0])} to {_percent(figure.ends[1])})"
        said = f"{_percent(figure.mean)} of the gap in loss on the erased examples{interval}."
    elif share is None:
        said = "There is no gap beyond the noise between retrainings."
        if nothing is None:
            said = "It cannot be measured without the model from before."
    figure = first_of([own], "Rf", "Df")
    if figure is None:
        return said
    far = f"Its outputs there are {_times(own.figures[figure].mean)} as far from retrained models'"
    far += " as those are from each other"
    if nothing is not None and figure in nothing.figures:
        far += f", {_times(nothing.figures[figure].mean)} without erasing"
    return f"{said} {far}.".strip()


def _attack(models: Sequence[Model | None]) -> str:
    """What the attack scores on the model before, on the erased one and on retrained ones."""
    name = first_of([model for model in models if model is not None], "RMIA AUC", "loss attack AUC")
    words = ("without erasing", "after it", "on retrained models")
    found = [
        f"{written(model.figures[name].mean)} {said}"
        for model, said in zip(models, words, strict=True)
        if name is not None and model is not None and name in model.figures
    ]
    return f"A membership attack scores (AUC, 0.5 is guessing) {', '.join(found)}." if found else ""


def _percent(share: float) -> str:
    return "≫ 100 %" if share > 100 else "far below 0 %" if share < -100 else f"{100 * share:.0f} %"


def _times(value: float) -> str:
    return "more than 100 times" if value > 100 else f"{written(value)} times"


def _stays(own: Model, nothing: Model | None, oracle: Model | None) -> list[tuple[str, bool]]:
    """What is said of the retain and the test set, and whether each was harmed."""
    found = []
    for words, accuracy, loss in (("retain", "RA", "loss r"), ("test", "TA", "loss t")):
        name = first_of([own], accuracy, loss)
        if name is None:
            continue
        figure, kind = own.figures[name], "accuracy" if name == accuracy else "loss"
        others = {
            said: model.figures[name].mean
            for said, model in (("without erasing", nothing), ("retrained", oracle))
            if model is not None and name in model.figures
        }
        goals = list(others.values())
        harm = bool(goals) and _harmed(figure, goals, lower=kind == "accuracy")
        beside = ", ".join(f"{written(goal, 3)} {said}" for said, goal in others.items())
        verb = "is harmed" if harm else "is not harmed, as far as this can tell"
        said = f"The {words} set {verb}: {kind} {written(figure.mean, 3)}"
        found.append((f"{said} ({beside})." if beside else f"{said}.", harm))
    return found


def _harmed(figure: Figure, goals: list[float], *, lower: bool) -> bool:
    if lower:
        worst = min(goals)
        return figure.mean < worst - _FALL and figure.ends[1] < worst
    worst = max(goals)
    return figure.mean > worst + _RISE * abs(worst) and figure.ends[0] > worst


def _cost(own: Model, oracle: Model | None) -> str:
    ratio = own.figures.get("ratio")
    if ratio is None:
        return "The model was trained anew since the last request: there is no erasure to time."
    seconds = [m.figures["seconds"].mean for m in (own, oracle) if m and "seconds" in m.figures]
    took = f" ({seconds[0]:.2g} s; a retraining {seconds[1]:.2g} s)" if len(seconds) == 2 else ""
    said = f"It took {_times(ratio.mean)} the time of a retraining{took}"
    if ratio.mean >= 1:
        return f"{said}: retraining would have been cheaper."
    return f"{said}."
