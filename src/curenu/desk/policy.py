"""Deadlines as data, and the rules of a model: its method, its bar, and when a batch is sealed."""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

import holidays
from pydantic import BaseModel, ConfigDict, Field

from curenu.desk.refusals import TooLate
from curenu.errors import BadRequest

__all__ = ["REGIMES", "Bar", "Policy", "Regime", "add_months", "business_days_after", "passes"]


class Regime(BaseModel):
    """How long a law gives: `months` or `days` from receipt, and as much or more on notice.

    `first_answer` are the business days in which receipt is confirmed. The day of receipt does not
    count. Sources: GDPR Art. 12(3) with Regulation 1182/71, CCPA Regulations § 7021.
    """

    model_config = ConfigDict(frozen=True)
    months: int = 0
    days: int = 0
    more_months: int = 0
    more_days: int = 0
    first_answer: int | None = None

    def due(self, received: date) -> date:
        """The last day for an answer."""
        return add_months(received, self.months) + timedelta(days=self.days)

    def extended(self, received: date, told: date) -> date:
        """The last day after an extension of which the person is told on `told`.

        Raises `TooLate` after the first deadline.
        """
        if told > self.due(received):
            raise TooLate(
                f"An extension must be told by {self.due(received)}, and it is {told}.",
                "answering now.",
            )
        whole = add_months(received, self.months + self.more_months)
        return whole + timedelta(days=self.days + self.more_days)


REGIMES = {
    "gdpr": Regime(months=1, more_months=2),
    "ccpa": Regime(days=45, more_days=45, first_answer=10),
}


def add_months(day: date, months: int) -> date:
    """The day of the same number `months` later, or the month's last where it has none."""
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def business_days_after(day: date, count: int, country: str, subdivision: str | None) -> date:
    """The `count`-th day after `day` that is neither weekend nor public holiday there."""
    free = _holidays(country, subdivision)
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5 and day not in free
    return day


@lru_cache
def _holidays(country: str, subdivision: str | None) -> holidays.HolidayBase:
    try:
        return holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError as error:
        raise BadRequest(
            f"The holidays of {country} {subdivision or ''} are not known.",
            "a country's two letters, such as DE or US, and a part of it, such as CA.",
        ) from error


class Bar(BaseModel):
    """Where a figure must lie: at least `low` and at most `high`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    low: float | None = None
    high: float | None = None


def passes(value: float, bar: Bar) -> bool:
    """Whether `value` lies within `bar`; NaN does not."""
    above = bar.low is None or value >= bar.low
    return value == value and above and (bar.high is None or value <= bar.high)


class Policy(BaseModel):
    """What is done on one model and when, as it was registered.

    A batch is sealed as soon as one of its requests has waited `seal_hours`, it holds `seal_count`
    of them, or the deadline of one is within `seal_days`. `bars` are those of the four figures: R
    and G of the erasure, the AUC of a membership attack, and the mean loss on held-out examples
    less that of retrained networks. `task` is where the code of a run's task is, for a run that
    names a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: str = Field(default="stocurenu", pattern="^[a-z][a-z0-9-]{0,38}$")
    settings: dict[str, str] = Field(default_factory=dict)
    task: str | None = None
    oracles: int = Field(default=2, ge=2)
    seal_hours: float = Field(default=24.0, ge=0)
    seal_count: int = Field(default=50, ge=1)
    seal_days: int = Field(default=7, ge=0)
    bars: dict[Literal["R", "G", "membership_attack", "holdout_loss"], Bar] = Field(
        default_factory=lambda: {
            "R": Bar(high=2.0),
            "G": Bar(low=0.5, high=1.5),
            "membership_attack": Bar(high=0.6),
            "holdout_loss": Bar(high=0.05),
        }
    )

    def due_for_sealing(self, oldest: datetime, count: int, deadline: date, now: datetime) -> bool:
        """Whether an open batch is to be sealed at `now`."""
        return (
            count >= self.seal_count
            or now - oldest >= timedelta(hours=self.seal_hours)
            or deadline - now.date() <= timedelta(days=self.seal_days)
        )
