"""What examples set aside say of a step and of a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from curenu.errors import IllPosed
from curenu.newton.adaptive import Judge

START = torch.zeros(3)
AHEAD = torch.tensor([1.0, 0.0, 0.0])


@dataclass
class Along:
    """An objective that depends on the first coordinate alone."""

    curve: Callable[[float], float]
    asked: int = 0

    def value(self, theta: Tensor) -> Tensor:
        self.asked += 1
        return torch.tensor(self.curve(float(theta[0])), dtype=torch.float64)


def judge(curve: Callable[[float], float], lowest: float | None = None) -> Judge:
    found = Judge(cast(Any, Along(curve)), before=curve(0.0))
    if lowest is not None:
        found.lowest = lowest
    return found


def test_a_step_that_helps_is_taken_whole() -> None:
    assert torch.equal(judge(lambda x: -x).bounded(START, AHEAD), AHEAD)


def test_a_step_may_lose_what_the_best_point_had_gained() -> None:
    assert torch.equal(judge(lambda x: 0.9 * x, lowest=-1.0).bounded(START, AHEAD), AHEAD)


@pytest.mark.parametrize(("rise", "share"), [(1.5, 0.5), (3.0, 0.25), (7.0, 0.125), (1e9, 0.125)])
def test_a_step_that_loses_more_is_halved_at_most_thrice(rise: float, share: float) -> None:
    found = judge(lambda x: rise * x, lowest=-1.0).bounded(START, AHEAD)
    assert torch.equal(found, share * AHEAD)


def test_a_point_out_of_the_domain_counts_as_infinitely_bad() -> None:
    def curve(x: float) -> float:
        if x > 0.3:
            raise IllPosed("NaN.", "less.")
        return -x

    assert torch.equal(judge(curve).bounded(START, AHEAD), 0.25 * AHEAD)


@pytest.mark.parametrize(
    ("curve", "share"),
    [
        (lambda x: -x, 1.0),  # what still helps is kept
        (lambda x: -x + 0.6 * x * x, 1.0),  # the end brings .4, the best of the way .4167
        (lambda x: -x + 0.9 * x * x, 0.85),  # .1 at the end, .2 at .85, .28 at the best
        (lambda x: x * (x - 0.9), 0.7),  # a loss at the end, .0425 at .85, .14 at .7
    ],
)
def test_a_result_is_drawn_back_to_where_half_of_the_best_fall_is_left(
    curve: Callable[[float], float], share: float
) -> None:
    point, found = judge(curve).draw_back(START, AHEAD)
    assert found == share
    torch.testing.assert_close(point, share * AHEAD)


def test_a_result_that_changes_nothing_stays() -> None:
    asked = Along(lambda x: 0.0)
    point, share = Judge(cast(Any, asked), 0.0).draw_back(START, AHEAD)
    assert share == 1.0
    assert torch.equal(point, AHEAD)
    assert asked.asked == 4
