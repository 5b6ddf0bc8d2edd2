"""KLoM and the forgetting score: by hand, with what they must detect and must not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curenu.audits import (
    example_epsilons,
    forgetting_score,
    klom,
    klom_findings,
    margin_divergence,
)
from curenu.errors import BadRequest, IllPosed
from tests.audits.test_attacks import draws, margins, memorisers, oracles


def test_margin_divergence_is_that_of_histograms_by_hand() -> None:
    unlearned = np.array([[0.0], [0.0], [10.0]])
    others = np.array([[0.0], [10.0], [10.0]])
    # first and last of 20 bins hold 2/3, 1/3 against 1/3, 2/3; 18 more the floor on both sides
    p, q, floor = 2 / 3, 1 / 3, 1e-5
    total = 1 + 18 * floor
    by_hand = (p * math.log(p / q) + q * math.log(q / p)) / total
    assert margin_divergence(unlearned, others) == pytest.approx([by_hand])


def test_margins_beyond_a_hundred_are_clipped() -> None:
    far, farther = draws(8, 3) + 500, draws(8, 3, seed=1) + 900
    assert margin_divergence(far, farther) == pytest.approx([0.0] * 3)
    assert margin_divergence(far, -far) == pytest.approx([math.log(1e5)] * 3, rel=1e-3)


def test_margin_divergence_moves_with_the_scale_and_is_never_negative() -> None:
    one, two = draws(16, 40), draws(16, 40, seed=1)
    found = margin_divergence(one, two)
    assert found.min() >= 0
    assert margin_divergence(2 * one + 1, 2 * two + 1) == pytest.approx(found)
    assert margin_divergence(one, one) == pytest.approx(np.zeros(40))


def test_klom_detects_models_that_forgot_nothing() -> None:
    found = klom_findings("f", margins(memorisers()), margins(oracles()))
    assert [f.name for f in found] == ["KLoM 50 %", "KLoM 95 %"]
    for finding in found:
        assert finding.interval is not None
        assert finding.reference is not None
        assert finding.interval[0] > finding.reference


@pytest.mark.parametrize("count", [8, 32])
def test_klom_of_models_distributed_alike_is_its_calibration(count: int) -> None:
    base = 5 * draws(1, 400, seed=9)
    models, others = base + draws(count, 400), base + draws(count, 400, seed=1)
    apart = (klom(models, others) - klom(others, others)).mean(0)
    # examples are independent here: a paired comparison within four standard errors
    assert abs(apart.mean()) < 4 * apart.std(ddof=1) / 20
    worse = (klom(models + 1.5, others) - klom(others, others)).mean(0)
    assert worse.mean() > 4 * worse.std(ddof=1) / 20


def test_percentiles_of_models_distributed_alike_are_the_calibrations() -> None:
    gaps = [
        [f.value - (f.reference or 0) for f in klom_findings("f", models, others)]
        for s in range(30)
        for models, others in [(draws(8, 60, seed=2 * s), draws(16, 60, seed=2 * s + 1))]
    ]
    error = np.std(gaps, axis=0, ddof=1) / math.sqrt(30)
    assert (np.abs(np.mean(gaps, axis=0)) < 4 * error).all()


def test_halves_of_oracles_never_share_one() -> None:
    others = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    found = klom(others, others)
    assert found.shape == (6, 2)
    assert found == pytest.approx(np.full((6, 2), math.log(1e5 / 3)), rel=1e-3)


def test_the_calibration_is_what_the_oracles_row_shows() -> None:
    for finding in klom_findings("t", margins(oracles()), margins(oracles())):
        assert finding.name.startswith("KLoM t ")
        assert finding.value == finding.reference


def test_epsilon_is_that_of_the_best_threshold_by_hand() -> None:
    unlearned = np.array([[1.0], [2.0], [3.0], [6.0]])
    others = np.array([[4.0], [5.0], [7.0], [8.0]])
    # "above 3 is an oracle" errs on 1 of 4 unlearned and no oracle: too few models, left out;
    # "above 4 is an oracle" on 1 of 4 of either
    expected = math.log((1 - 1e-5 - 0.25) / 0.25)
    assert example_epsilons(unlearned, others) == pytest.approx([expected])
    assert example_epsilons(others, unlearned) == pytest.approx([expected])


def test_two_thresholds_find_a_narrow_distribution_inside_a_wide_one() -> None:
    unlearned = np.array([[-0.1], [0.0], [0.1], [0.2]])
    others = np.array([[-5.0], [-4.0], [4.0], [5.0]])
    assert example_epsilons(unlearned, others).tolist() == [50.0]


def test_epsilon_depends_on_the_order_of_margins_alone() -> None:
    one, two = draws(8, 60), draws(8, 60, seed=1)
    assert np.array_equal(example_epsilons(np.exp(one), np.exp(two)), example_epsilons(one, two))


def test_equal_margins_are_not_told_apart() -> None:
    one = np.tile(draws(4, 1), (1, 3))
    assert example_epsilons(one, one).tolist() == [0.0] * 3
    assert forgetting_score(one, one).value == 1.0


def test_forgetting_score_detects_models_that_forgot_nothing() -> None:
    found = forgetting_score(margins(memorisers()), margins(oracles()[:4]))
    assert found.interval is not None
    assert found.reference is not None
    assert found.interval[1] < found.reference / 2


@pytest.mark.parametrize("count", [4, 5, 10])
def test_models_distributed_alike_score_the_reference(count: int) -> None:
    found = forgetting_score(draws(count, 2000), draws(count, 2000, seed=1))
    assert found.interval is not None
    assert found.reference is not None
    error = (found.interval[1] - found.interval[0]) / 2 / 1.96
    assert abs(found.value - found.reference) < 4 * error * math.sqrt(1.5)  # reference sampled too


def test_networks_retrained_apart_score_near_the_reference() -> None:
    found = forgetting_score(margins(oracles()[:4]), margins(oracles()[4:]))
    assert found.reference is not None
    assert found.value > 0.8 * found.reference


def test_a_deterministic_method_on_one_original_has_no_score() -> None:
    with pytest.raises(BadRequest, match="no spread"):
        forgetting_score(np.tile(draws(1, 6), (4, 1)), draws(4, 6))
    with pytest.raises(BadRequest, match="Oracles agree"):
        forgetting_score(draws(4, 6), np.tile(draws(1, 6), (4, 1)))


@pytest.mark.parametrize("audit", [klom, forgetting_score, margin_divergence])
def test_ensembles_of_other_shapes_or_not_finite_are_refused(audit: object) -> None:
    assert callable(audit)
    for one, two in (
        (draws(4, 5), draws(4, 6)),
        (draws(5), draws(4, 5)),
        (draws(4, 0), draws(4, 0)),
        (draws(0, 5), draws(4, 5)),
    ):
        with pytest.raises(BadRequest, match="Margins"):
            audit(one, two)
    with pytest.raises(IllPosed):
        audit(np.full((4, 5), np.inf), draws(4, 5))


def test_one_model_is_no_ensemble() -> None:
    with pytest.raises(BadRequest, match="2 models"):
        klom(draws(1, 5), draws(4, 5))
    with pytest.raises(BadRequest, match="as many"):
        forgetting_score(draws(4, 5), draws(5, 5))
    with pytest.raises(BadRequest, match="4 models"):
        forgetting_score(draws(3, 5), draws(3, 5))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_margins_that_are_not_finite_are_refused_with_model_and_example(bad: float) -> None:
    whole, broken = draws(8, 5), draws(8, 5, seed=1)
    broken[3, 2] = bad
    for audit in (margin_divergence, klom, forgetting_score):
        with pytest.raises(IllPosed, match="oracle 3 on example 2"):
            audit(whole, broken)
        with pytest.raises(IllPosed, match="unlearned model 3 on example 2"):
            audit(broken, whole)


def test_models_that_all_score_alike_keep_an_interval() -> None:
    """Every example told apart: none of twenty scored, which one in seven may hide."""
    found = forgetting_score(draws(8, 20) + 100, draws(8, 20, seed=1))
    assert (found.value, found.interval) == (0.0, pytest.approx((0.0, 1 - 0.025 ** (1 / 20))))
