"""Why a computation ended and when to retrain instead."""

from __future__ import annotations

import pytest

from curenu.status import Advice, share_advice


@pytest.mark.parametrize(
    ("erased", "advice"), [(1, None), (200, None), (201, Advice.SHARE), (999, Advice.SHARE)]
)
def test_more_than_a_fifth_of_a_thousand_is_advised_against(
    erased: int, advice: Advice | None
) -> None:
    assert share_advice(erased, 1000) is advice
