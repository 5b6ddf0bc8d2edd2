"""Membership attacks: what they must detect, what they must not, and what cannot matter."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from curenu.audits import (
    Attack,
    Finding,
    Outputs,
    Split,
    attack_findings,
    auc_interval,
    both_models,
    change,
    lira_scores,
    margin,
    peers,
    rmia,
    rmia_scores,
    unlearning_lira,
)
from curenu.errors import BadRequest, IllPosed
from tests.audits.networks import trained
from tests.problems import classes, generator, inputs


def memorisers() -> tuple[Split, ...]:
    return trained(4, seen=True, seed=0)


def oracles() -> tuple[Split, ...]:
    return trained(8, seen=False, seed=1)


def margins(splits: tuple[Split, ...]) -> np.ndarray:
    return np.stack([margin(split.forget).numpy() for split in splits])


def auc(attack: Attack) -> Finding:
    return attack_findings("A", attack, generator())[0]


def bounds(finding: Finding) -> tuple[float, float]:
    assert finding.interval is not None
    return finding.interval


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return inputs(*shape, seed=seed).numpy()


@pytest.mark.parametrize("references", [1, 2, 4])
def test_rmia_detects_a_network_that_learnt_by_heart(references: int) -> None:
    for model in memorisers():
        found = auc(rmia(model, oracles()[:references]))
        assert bounds(found)[0] > 0.7


def test_rmia_does_not_tell_an_oracle_from_oracles() -> None:
    found = [auc(rmia(model, oracles()[:4])) for model in oracles()[4:]]
    assert all(bounds(f)[0] < 0.5 < bounds(f)[1] for f in found)


def test_lira_with_half_the_models_inside_detects_members() -> None:
    inside, outside = margins(memorisers()), margins(oracles())
    online = Attack(
        lira_scores(inside[0], outside[1:], inside[1:]),
        lira_scores(outside[0], outside[1:], inside[1:]),
    )
    offline = Attack(lira_scores(inside[0], outside[1:]), lira_scores(outside[0], outside[1:]))
    for attack in (online, offline):
        assert bounds(auc(attack))[0] > 0.7


def test_unlearning_lira_detects_models_that_forgot_nothing() -> None:
    low, _ = bounds(auc(unlearning_lira(margins(memorisers()), margins(oracles()))))
    assert low > 0.7


def test_unlearning_lira_does_not_tell_oracles_from_oracles() -> None:
    first, second = margins(oracles()[:4]), margins(oracles()[4:])
    low, high = bounds(auc(unlearning_lira(first, second)))
    assert low < 0.5 < high


@pytest.mark.parametrize("pairs", [3, 4, 12])
def test_unlearning_lira_is_fair_however_few_the_models(pairs: int) -> None:
    found = [
        unlearning_lira(draws(pairs, 50, seed=2 * s), draws(pairs, 50, seed=2 * s + 1)).auc
        for s in range(40)
    ]
    assert abs(np.mean(found) - 0.5) < 4 * stats.sem(found)


def test_the_attacked_model_is_in_no_fit_of_its_own() -> None:
    unlearned, others = draws(4, 30), draws(4, 30, seed=1)
    before = unlearning_lira(unlearned, others)
    unlearned[2] += 100.0
    after = unlearning_lira(unlearned, others)
    by_hand = [
        stats.norm.logpdf(unlearned[2], kept.mean(0), np.sqrt(kept.var(0, ddof=1).mean()))
        for kept in (unlearned[[0, 1, 3]], others[[0, 1, 3]])
    ]
    assert after.members[2] == pytest.approx(by_hand[0] - by_hand[1])
    # the partner was scored without the moved model, every other pair with it
    assert after.strangers[2] == pytest.approx(before.strangers[2])
    assert not np.allclose(after.strangers[1], before.strangers[1])


def test_many_shadow_models_give_every_example_its_own_spread() -> None:
    spread = np.linspace(0.1, 10, 5)
    outside, inside = draws(64, 5) * spread, draws(64, 5, seed=1) * spread + 1
    found = lira_scores(np.ones(5), outside, inside)
    by_hand = [
        stats.norm.logpdf(1.0, side[:, 4].mean(), side[:, 4].std(ddof=1))
        for side in (inside, outside)
    ]
    assert found[4] == pytest.approx(by_hand[0] - by_hand[1])


def test_holding_both_models_betrays_what_was_wrecked_or_retrained() -> None:
    before = memorisers()[0]
    ruined = Outputs(0 * before.forget.logits, before.forget.targets)
    wrecked = dataclasses.replace(before, forget=ruined)
    for kind in ("loss", "posterior"):
        assert bounds(auc(both_models(before, wrecked, kind)))[0] > 0.9
    retrained = [both_models(before, oracle).auc for oracle in oracles()]
    assert min(retrained) > 0.6


def test_holding_both_models_says_nothing_of_strangers_or_of_no_change() -> None:
    one, two = oracles()[:2]
    low, high = bounds(auc(both_models(one, two)))
    assert low < 0.5 < high
    assert both_models(one, one).auc == 0.5


def test_the_posterior_needs_no_label_and_no_order_of_classes() -> None:
    before, after = memorisers()[0].forget, oracles()[0].forget
    turned = [Outputs(o.logits.flip(1), 3 - o.targets) for o in (before, after)]
    found = change(before, after, "posterior")
    assert change(turned[0], turned[1], "posterior") == pytest.approx(found)
    p, q = (sorted(o.logits[0].double().softmax(0).tolist()) for o in (before, after))
    assert found[0] == pytest.approx(math.dist(p, q))


@pytest.mark.parametrize("moved", [np.exp, lambda s: 3 * s - 7, np.arctan])
def test_rates_depend_on_the_order_of_scores_alone(moved: Callable) -> None:
    plain, other = draws(50) + 1, draws(300, seed=1)
    first, second = Attack(plain, other), Attack(moved(plain), moved(other))
    assert attack_findings("A", first, generator()) == attack_findings("A", second, generator())


def test_changing_sides_mirrors_the_auc() -> None:
    members, strangers = draws(50) + 0.3, draws(80, seed=1)
    assert Attack(members, strangers).auc == pytest.approx(1 - Attack(strangers, members).auc)


def test_rates_are_those_counted_by_hand() -> None:
    attack = Attack(np.array([3.0, 1.0, 5.0]), np.array([2.0, 3.0, 0.0, 0.0]))
    assert attack.auc == pytest.approx((3.5 + 2 + 4) / 12)
    assert attack.placements() == pytest.approx([3.5 / 4, 2 / 4, 4 / 4])
    assert attack.true_positive_rate == pytest.approx(1 / 3)


def test_intervals_cover_as_often_as_they_say() -> None:
    covered = [
        low <= 0.5 <= high
        for s in range(100)
        for low, high in [bounds(auc(Attack(draws(80, seed=2 * s), draws(90, seed=2 * s + 1))))]
    ]
    assert abs(np.mean(covered) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 100)


SHAPES: dict[str, Callable[[float, int, np.random.Generator], np.ndarray]] = {
    "shifted": lambda auc, n, g: g.normal(math.sqrt(2) * stats.norm.ppf(auc), 1.0, n),
    "wide": lambda auc, n, g: g.normal(math.sqrt(10) * stats.norm.ppf(auc), 3.0, n),
    "all or nothing": lambda auc, n, g: np.where(g.random(n) < auc, 10.0, -10.0),
}
"""Members whose scores beat a standard normal stranger's with probability `auc`."""


@pytest.mark.parametrize("members", [1, 3, 10, 50])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("auc", [0.5, 0.8, 0.95])
def test_intervals_hold_the_auc_however_few_the_members(
    members: int, shape: str, auc: float
) -> None:
    """200 draws each; the bootstrap beside it only widens what is tried here."""
    draw, held = np.random.default_rng(members), 0
    for _ in range(200):
        attack = Attack(SHAPES[shape](auc, members, draw), draw.normal(size=200))
        low, high = auc_interval(attack)
        held += low <= auc <= high
    assert held / 200 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 200)


def test_one_member_above_every_stranger_proves_little() -> None:
    """The share that one success of one leaves open: from .025; no rate of 1 % of one."""
    first, rate = attack_findings("A", Attack(np.ones(1), np.zeros(1)), generator())
    assert (first.value, first.interval) == (1.0, pytest.approx((0.025, 1.0)))
    assert rate.interval is None
    first, rate = attack_findings("A", Attack(np.ones(1), np.zeros(200)), generator())
    assert first.interval == pytest.approx((0.025, 1.0))
    assert rate.interval == pytest.approx((0.025, 1.0))


def test_the_interval_is_no_narrower_than_that_of_the_number_of_examples() -> None:
    attack = Attack(np.arange(50.0) + 100, np.arange(200.0) / 100)  # no overlap at all
    assert bounds(auc(attack)) == pytest.approx((0.025 ** (1 / 50), 1.0))


def test_models_are_resampled_like_examples() -> None:
    level = 3 * draws(6, 1)
    many = Attack(draws(6, 200) + level, draws(6, 200, seed=1) - level, paired=True)
    flat = Attack(many.members.ravel(), many.strangers.ravel())
    wide, narrow = (np.ptp(bounds(auc(attack))) for attack in (many, flat))
    assert wide > 3 * narrow


def test_the_same_generator_gives_the_same_interval() -> None:
    level = 3 * draws(6, 1)  # models differ: their resampling is the wider interval
    attack = Attack(draws(6, 40) + level, draws(6, 50, seed=1) - level)
    one, two, other = (attack_findings("A", attack, generator(seed)) for seed in (3, 3, 4))
    assert one == two
    assert one[0].interval != other[0].interval


def test_references_are_the_mean_of_the_expected_attacks() -> None:
    expected = [Attack(draws(40, seed=s), draws(50, seed=s + 9)) for s in (1, 2)]
    found = attack_findings("A", Attack(draws(40), draws(50, seed=1)), generator(), expected)
    assert [f.name for f in found] == ["A AUC", "A TPR"]
    assert found[0].reference == pytest.approx(np.mean([e.auc for e in expected]))
    assert found[0].per_example is not None
    assert found[0].per_example.mean() == pytest.approx(found[0].value)


def test_the_curve_is_thinned_and_keeps_its_ends() -> None:
    attack = Attack(draws(5000) + 1, draws(5000, seed=1))
    false, true = attack.curve()
    assert len(false) <= 200
    assert (false[0], true[0], false[-1], true[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert np.trapezoid(true, false) == pytest.approx(attack.auc, abs=2e-3)


def test_rmia_is_the_pairwise_test_by_hand() -> None:
    x, z = (Outputs(3 * inputs(9, 3, seed=s), classes(9, 3, seed=s)) for s in (1, 2))
    other = [Outputs(3 * inputs(9, 3, seed=s + 5), o.targets) for s, o in ((1, x), (2, z))]

    def ratio(model: Outputs, reference: Outputs) -> list[float]:
        p, q = (o.logits.softmax(1)[range(9), o.targets].tolist() for o in (model, reference))
        return [a / ((1.3 * b + 0.7) / 2) for a, b in zip(p, q, strict=True)]

    over = ratio(z, other[1])
    by_hand = [np.mean([r / s >= 2.0 for s in over]) for r in ratio(x, other[0])]
    found = rmia_scores((x, [other[0]]), (z, [other[1]]), gamma=2.0)
    assert found == pytest.approx(by_hand)


def test_rmia_is_quick_on_large_sets() -> None:
    targets = classes(10_000, 10)
    drawn = [
        Split(*(Outputs(inputs(len(y), 10, seed=s), y) for y in (targets[:6000], *2 * [targets])))
        for s in range(5)
    ]
    start = time.process_time()
    auc(rmia(drawn[0], drawn[1:]))
    assert time.process_time() - start < 2.0


def test_strangers_are_of_the_members_classes() -> None:
    forget = Outputs(inputs(4, 3), torch.tensor([0, 0, 2, 0]))
    test = Outputs(inputs(5, 3), torch.tensor([0, 1, 2, 1, 0]))
    assert peers(test, forget).targets.tolist() == [0, 2, 0]
    with pytest.raises(BadRequest, match="classes"):
        peers(Outputs(inputs(1, 3), torch.tensor([1])), forget)


@pytest.mark.parametrize(
    ("members", "strangers", "error"),
    [
        (np.zeros(0), np.zeros(3), BadRequest),
        (np.zeros((2, 2, 2)), np.zeros(3), BadRequest),
        (np.array([np.nan]), np.zeros(3), IllPosed),
        (np.zeros(3), np.array([np.inf]), IllPosed),
    ],
)
def test_scores_that_are_none_are_refused(
    members: np.ndarray, strangers: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Attack(members, strangers)


def test_attacks_that_cannot_be_meant_are_refused() -> None:
    model, other = oracles()[:2]
    with pytest.raises(BadRequest, match="reference"):
        rmia(model, [])
    with pytest.raises(BadRequest, match="offline"):
        rmia(model, [other], offline=1.5)
    with pytest.raises(BadRequest, match="gamma"):
        rmia(model, [other], gamma=0.5)
    foreign = dataclasses.replace(other, forget=other.retain)
    with pytest.raises(BadRequest, match="other examples"):
        rmia(model, [foreign])
    with pytest.raises(BadRequest, match="different"):
        both_models(model, foreign)
    with pytest.raises(BadRequest, match="3 models"):
        unlearning_lira(draws(2, 5), draws(4, 5))
    with pytest.raises(BadRequest, match="same examples"):
        unlearning_lira(draws(4, 5), draws(4, 6))
    with pytest.raises(BadRequest, match="spread"):
        unlearning_lira(np.ones((4, 5)), draws(4, 5))
    with pytest.raises(IllPosed):
        unlearning_lira(np.full((4, 5), np.nan), draws(4, 5))
    with pytest.raises(BadRequest, match="equal shapes"):
        Attack(draws(2, 5), draws(2, 6), paired=True)
