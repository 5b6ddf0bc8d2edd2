"""A policy of a run: a request is held against random genuine ones before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from torch.utils.data import Dataset

from curenu.attacks import Screen, Verdict
from curenu.errors import BadRequest, Disposed
from curenu.risks import EmpiricalRisk
from curenu.runs.records import Only
from curenu.runs.request import Request
from curenu.runs.run import Run, objective_of

__all__ = ["Policy", "Screening"]


class Policy(Protocol):
    """Looks at a checked request on a run: raises to refuse it, or gives notes for its record."""

    def __call__(self, run: Run, asked: Request, /) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Screening:
    """Refuses a request that a `Screen` flags, unless a person overrides it, and notes which.

    Everything is measured at the model that was last trained, over the examples it was trained on:
    there the first-order changes of all requests since add up, and one solve serves them all.
    `holdout` is the task's test set unless given. `screen` makes the screen of the training and
    the holdout objective: `functools.partial(Screen, rate=.999)`, for one.
    """

    holdout: Dataset[Any] | None = field(default=None, repr=False)
    screen: Callable[[EmpiricalRisk, EmpiricalRisk], Screen] = Screen
    override: str | None = None
    _made: dict[tuple[str, Only], Screen] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def overridden(self, reason: str) -> Self:
        """The same policy for one request that is to be granted all the same; why is recorded.

        Raises `BadRequest` without a reason.
        """
        if not reason.strip():
            raise BadRequest("An override without a reason.", "who decided it, and why.")
        other = replace(self, override=reason)
        other._made.update(self._made)
        return other

    def __call__(self, run: Run, asked: Request, /) -> tuple[str, ...]:
        """Notes for the record of a request that passes or is overridden; raises otherwise.

        Raises `Suspicious`, naming the figures, for one that is flagged; `Disposed` where the
        weights that were last trained are, or who was erased since.
        """
        verdict = self.verdict(run, asked)
        if not verdict.flagged:
            return ("Screened: as a random genuine request might be.",)
        if self.override is None:
            verdict.require()
        names = ", ".join(figure.name for figure in verdict.flagged)
        said = tuple(figure.said for figure in verdict.flagged)
        return (f"Screened: out of the usual in {names}; overridden: {self.override}", *said)

    def verdict(self, run: Run, asked: Request) -> Verdict:
        """All figures of the request, with what was erased since the model was last trained."""
        before = run.ledger.erased_since
        if before is None:
            raise Disposed(
                "Which examples were erased since the model was last trained is no longer on "
                "record.",
                "retraining first, or a request without this policy.",
            )
        screen = self._screen(run, asked.only, before)
        earlier = [screen.total(sorted(before))] if before else []
        return screen(asked.positions, earlier=earlier)

    def _screen(self, run: Run, only: Only, before: set[int]) -> Screen:
        key = run.ledger.base, only
        if key not in self._made:
            model, task = run.base_model, run.task
            risk = objective_of(task, model, only).subset(sorted({*run.retained, *before}))
            test = task.test if self.holdout is None else self.holdout
            holdout = EmpiricalRisk(model, test, task.loss, only=only)
            self._made.clear()
            self._made[key] = self.screen(risk, holdout)
        return self._made[key]
