"""Deadlines by the calendar, and when a batch is sealed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from curenu.desk import requests
from curenu.desk.home import Desk
from curenu.desk.looking import complaints, due_requests
from curenu.desk.policy import REGIMES, Bar, Policy, business_days_after, passes
from curenu.desk.refusals import TooLate
from curenu.errors import BadRequest
from tests.desk.desks import put_under, sent


@pytest.mark.parametrize(
    ("received", "due", "extended"),
    [  # by hand, from a calendar
        (date(2026, 1, 31), date(2026, 2, 28), date(2026, 4, 30)),
        (date(2028, 1, 31), date(2028, 2, 29), date(2028, 4, 30)),
        (date(2028, 2, 29), date(2028, 3, 29), date(2028, 5, 29)),
        (date(2026, 11, 30), date(2026, 12, 30), date(2027, 2, 28)),
        (date(2026, 12, 15), date(2027, 1, 15), date(2027, 3, 15)),
    ],
)
def test_one_month_is_the_same_day_or_the_last(received: date, due: date, extended: date) -> None:
    gdpr = REGIMES["gdpr"]
    assert gdpr.due(received) == due
    assert gdpr.extended(received, told=due) == extended
    with pytest.raises(TooLate, match=str(due)):
        gdpr.extended(received, told=due + timedelta(days=1))


def test_ccpa_gives_45_days_and_45_more() -> None:
    ccpa = REGIMES["ccpa"]
    assert ccpa.due(date(2026, 1, 1)) == date(2026, 2, 15)
    assert ccpa.extended(date(2026, 1, 1), told=date(2026, 2, 15)) == date(2026, 4, 1)


def test_business_days_leave_out_weekends_and_holidays() -> None:
    # Friday; Thursday the 24th, not the 25th nor the weekend, then the last week of the year
    assert business_days_after(date(2026, 12, 18), 5, "US", "CA") == date(2026, 12, 28)
    assert business_days_after(date(2026, 12, 18), 5, "DE", None) == date(2026, 12, 28)
    assert business_days_after(date(2026, 5, 1), 1, "US", None) == date(2026, 5, 4)
    with pytest.raises(BadRequest, match="holidays of ZZ"):
        business_days_after(date(2026, 5, 1), 1, "ZZ", None)


def test_a_bar_of_nan_is_not_passed() -> None:
    assert passes(1.0, Bar(low=0.5, high=1.0))
    assert not passes(1.01, Bar(high=1.0))
    assert not passes(0.4, Bar(low=0.5))
    assert not passes(float("nan"), Bar())


@pytest.mark.parametrize(
    ("hours", "count", "days", "due"),
    [(1, 1, 30, False), (24, 1, 30, True), (1, 50, 30, True), (1, 1, 7, True), (1, 1, -3, True)],
)
def test_age_count_or_deadline_seals(hours: int, count: int, days: int, due: bool) -> None:
    now = datetime(2026, 11, 27, 8)
    found = Policy().due_for_sealing(
        now - timedelta(hours=hours), count, now.date() + timedelta(days=days), now
    )
    assert found is due


def test_extension_once_and_in_time_and_lateness_is_told(tmp_path: Path, trained: Path) -> None:
    desk = Desk.create(tmp_path / "desk")
    put_under(desk, trained)
    day = datetime(2027, 1, 31, 12)
    desk.clock = lambda: day
    one, two = sent(desk, 1), sent(desk, 2, regime="ccpa")
    assert [(row.id, row.due) for row in due_requests(desk)] == [
        (one, date(2027, 2, 28)), (two, date(2027, 3, 17)),
    ]  # fmt: skip
    desk.clock = lambda: datetime(2027, 2, 28, 23)
    assert any(f"{one} is due" in said for said in complaints(desk))
    requests.extend(desk, one, "bea")
    with pytest.raises(BadRequest, match="extended before"):
        requests.extend(desk, one, "bea")
    assert due_requests(desk)[-1].due == date(2027, 4, 30)
    desk.clock = lambda: datetime(2027, 3, 18, 0)
    with pytest.raises(TooLate):
        requests.extend(desk, two, "bea")
    assert any(f"{two} is late" in said for said in complaints(desk))
    desk.close()
