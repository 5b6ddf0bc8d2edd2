"""Relearning, stationarity and distances against values computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from curenu.audits import (
    distance_to_oracles,
    relearning,
    stationarity,
    steps_to_recover,
    update_norm,
)
from curenu.erasure import Certificate
from curenu.errors import BadRequest, IllPosed
from curenu.operators import Recurrence

SLOW = [(0, 0.2), (10, 0.3), (30, 0.5)]
FAST = [(0, 0.2), (10, 0.8), (30, 0.9)]


def test_knowledge_that_comes_back_is_a_head_start() -> None:
    area, steps = relearning("retain", FAST, [SLOW, SLOW], level=0.5)
    assert area.name == "relearning retain"
    assert area.value == pytest.approx((0.5 * 10 * 0.5 + 20 * (0.5 + 0.4) / 2) / 30)
    assert steps.value == pytest.approx(5.0)
    assert steps.reference == pytest.approx(30.0)


def test_oracles_have_no_head_start_on_each_other() -> None:
    other = [(0, 0.25), (10, 0.2), (30, 0.55)]
    one, two = (relearning("retain", a, [b], 0.5)[0] for a, b in ((SLOW, other), (other, SLOW)))
    assert one.value == pytest.approx(-two.value)
    both = relearning("retain", SLOW, [SLOW, other], 0.5)[0]
    assert both.interval is not None
    assert both.interval[0] <= 0.0 <= both.interval[1]


def test_steps_to_recover_are_between_points_and_bounded_by_those_taken() -> None:
    assert steps_to_recover(SLOW, 0.4) == pytest.approx(20.0)
    assert steps_to_recover(SLOW, 0.1) == 0.0
    assert steps_to_recover(SLOW, 0.99) == 30.0


@pytest.mark.parametrize(
    ("curve", "oracle", "error"),
    [
        (FAST, [(0, 0.2), (20, 0.5)], BadRequest),
        ([(0, 0.2)], [(0, 0.2)], BadRequest),
        ([(0, 0.2), (0, 0.3)], SLOW, BadRequest),
        ([(0, 0.2), (10, math.nan), (30, 0.3)], SLOW, IllPosed),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(
    curve: list, oracle: list, error: type[Exception]
) -> None:
    with pytest.raises(error):
        relearning("retain", curve, [oracle], 0.5)
    with pytest.raises(BadRequest, match="No oracle"):
        relearning("retain", curve, [], 0.5)


@pytest.mark.parametrize("level", [math.nan, -0.1, 1.5])
def test_a_level_that_is_no_accuracy_is_refused(level: float) -> None:
    with pytest.raises(BadRequest, match="level"):
        relearning("retain", FAST, [SLOW], level)


def test_one_oracle_has_no_range() -> None:
    assert relearning("retain", FAST, [SLOW], 0.5)[0].interval is None
    one, other = torch.zeros(3), torch.ones(3)
    assert distance_to_oracles(one, [other]).interval is None


def certificate(norm: float, lowest: float, residual: float = 0.0, m: float = 4.0) -> Certificate:
    return Certificate(norm, lowest, residual, m, 10, 10)


def test_eps_supposes_the_eigenvalue_to_be_as_low_as_its_residual_allows() -> None:
    norm, lowest, eps = stationarity(certificate(0.1, -2.0, 0.5))
    assert (norm.name, norm.value) == ("|∇F|", 0.1)
    assert (lowest.value, lowest.interval) == (-2.0, (-2.5, -2.0))  # a Ritz value: from above
    assert eps.value == pytest.approx(2.5**2 / 4)  # the curvature decides, at its worst
    assert eps.interval == pytest.approx((2.0**2 / 4, 2.5**2 / 4))


def test_what_the_products_prove_is_the_far_end_of_the_interval() -> None:
    seen = Recurrence((0.5, 0.1), (1.0, 0.7), 1000)
    given = replace(certificate(0.1, -0.7, 0.2), recurrence=seen)
    _, lowest, eps = stationarity(given)
    bound = seen.lower_bound(0.05)
    assert bound < -0.9
    assert lowest.interval == (bound, -0.7)
    assert eps.value == pytest.approx(0.9**2 / 4)
    assert eps.interval == pytest.approx((0.7**2 / 4, bound**2 / 4))


def test_a_minimum_is_told_from_a_saddle_of_the_same_gradient() -> None:
    values = {
        name: stationarity(certificate(1e-6, lowest), certificate(1e-3, 0.1))[2]
        for name, lowest in (("minimum", 0.5), ("saddle", -0.5))
    }
    assert values["minimum"].value == pytest.approx(1e-6)
    assert values["saddle"].value == pytest.approx(0.25 / 4)
    assert values["saddle"].reference == pytest.approx(1e-3)


def test_certificates_that_prove_nothing_are_refused() -> None:
    with pytest.raises(IllPosed):
        stationarity(certificate(math.nan, 0.0))
    with pytest.raises(BadRequest):
        stationarity(certificate(0.1, 0.0, m=0.0))
    with pytest.raises(BadRequest):
        stationarity(certificate(0.1, 0.0), certificate(-0.1, 0.0))


def test_lengths_are_in_float64_and_have_the_oracles_beside_them() -> None:
    start, theta = torch.zeros(2), torch.tensor([3.0, 4.0])
    others = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])]
    found = update_norm(theta, start, others)
    assert (found.value, found.reference) == (5.0, 3.5)
    away = distance_to_oracles(theta, others)
    assert (away.value, away.interval, away.reference) == (3.5, (3.0, 4.0), 5.0)
    assert distance_to_oracles(others[0], others[:1]).value == 0.0
    tiny = torch.full((10_000,), 1e-25)
    assert update_norm(tiny, 0 * tiny).value == pytest.approx(1e-23, rel=1e-6)


def test_vectors_that_are_not_of_one_model_are_refused() -> None:
    with pytest.raises(BadRequest, match="flat"):
        update_norm(torch.zeros(2), torch.zeros(3))
    with pytest.raises(BadRequest, match="flat"):
        update_norm(torch.zeros(0), torch.zeros(0))
    with pytest.raises(BadRequest, match="oracle"):
        distance_to_oracles(torch.zeros(2), [])
    with pytest.raises(IllPosed):
        update_norm(torch.tensor([math.nan]), torch.zeros(1))
