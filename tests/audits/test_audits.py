"""Audits against values computed by hand, with a case each must detect and one it must not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from curenu.audits import (
    Outputs,
    Split,
    accuracy,
    closeness,
    divergence,
    gap_closed,
    has_gap,
    indistinguishability,
    jensen_shannon,
    loss_gap,
    margin,
    noise_floor,
    noise_floors,
    tow,
)
from curenu.audits.finding import mean_interval, share_finding, share_interval
from curenu.errors import BadRequest, IllPosed
from curenu.report import Row
from curenu.report.table import COLUMNS, cells
from tests.problems import classes, inputs


def outputs(logits: Tensor, targets: list[int]) -> Outputs:
    return Outputs(logits, torch.tensor(targets))


def drawn(seed: int, size: int = 200, noise: float = 0.5) -> Outputs:
    """A model that mostly knows the classes: shared signal, own noise."""
    targets = classes(size, 4)
    signal = 2.0 * torch.nn.functional.one_hot(targets, 4).double()
    return Outputs(signal + noise * inputs(size, 4, seed=seed), targets)


def log_of(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_accuracy_counts_the_right_answers() -> None:
    found = accuracy("FA", outputs(torch.eye(4), [0, 1, 2, 0]), reference=0.5)
    assert (found.value, found.reference) == (0.75, 0.5)
    assert found.per_example is not None
    assert found.per_example.tolist() == [1, 1, 1, 0]
    low, high = found.interval or (0, 0)
    # Wilson's interval of 3 in 4 by its formula
    z, p, n = 1.959964, 0.75, 4
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert low == pytest.approx(centre - half, abs=1e-5)
    assert high == pytest.approx(centre + half, abs=1e-5)


def test_divergence_is_the_definition_summed_over_classes() -> None:
    p, q = [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    by_hand = 0.5 * sum(a * math.log(a / c) for a, c in zip(p, m, strict=True))
    by_hand += 0.5 * sum(b * math.log(b / c) for b, c in zip(q, m, strict=True))
    found = jensen_shannon(log_of([p]), log_of([q]))
    assert found[0] == pytest.approx(by_hand, rel=1e-12)
    assert jensen_shannon(log_of([q]), log_of([p]))[0] == pytest.approx(found[0], rel=1e-12)


def test_divergence_does_not_shrink_with_idle_classes() -> None:
    two = jensen_shannon(log_of([[0.9, 0.1]]), log_of([[0.2, 0.8]]))
    idle = jensen_shannon(
        log_of([[0.9, 0.1, 1e-300, 1e-300]]), log_of([[0.2, 0.8, 1e-300, 1e-300]])
    )
    assert idle[0] == pytest.approx(two[0], rel=1e-9)


def test_divergence_reaches_its_range_and_no_further() -> None:
    certain = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert jensen_shannon(certain, certain).tolist() == [0.0, 0.0]
    assert jensen_shannon(certain, certain.flip(1)) == pytest.approx([math.log(2)] * 2)


def test_divergence_averages_over_oracles() -> None:
    model, first, second = drawn(1), drawn(2), drawn(3)
    both = divergence("JSD", model, [first, second])
    each = [divergence("JSD", model, [o]).value for o in (first, second)]
    assert both.value == pytest.approx(np.mean(each), rel=1e-12)
    low, high = both.interval or (0, 0)
    assert low < both.value < high


def test_tow_is_the_product_of_agreements() -> None:
    right, wrong = outputs(torch.eye(2), [0, 1]), outputs(torch.eye(2), [1, 0])
    half = outputs(torch.eye(2), [0, 0])
    model = Split(forget=wrong, retain=right, test=half)
    oracle = Split(forget=half, retain=right, test=right)
    assert tow(model, [oracle]).value == pytest.approx(0.5 * 1.0 * 0.5)
    assert tow(oracle, [oracle]).value == 1.0


def test_ratio_is_one_between_oracles_and_larger_for_a_stranger() -> None:
    oracles = [drawn(seed) for seed in range(2, 6)]
    floor = noise_floor(oracles)
    assert floor > 0
    distance = divergence("JSD", drawn(1), oracles, reference=floor)
    same = indistinguishability("R", distance)
    assert same.value == pytest.approx(1.0, abs=0.1)
    assert same.interval == pytest.approx([end / floor for end in distance.interval or ()])
    stranger = divergence("JSD", drawn(1, noise=2.0), oracles, reference=floor)
    assert indistinguishability("R", stranger).value > 2.0


def test_one_oracle_or_identical_ones_have_no_spread() -> None:
    with pytest.raises(BadRequest, match="spread"):
        noise_floor([drawn(1)])
    with pytest.raises(BadRequest, match="identical"):
        indistinguishability("R", divergence("JSD", drawn(1), [drawn(2)], reference=0.0))


def test_margin_is_the_log_odds() -> None:
    found = margin(outputs(log_of([[0.7, 0.2, 0.1]]), [0]))
    assert float(found[0]) == pytest.approx(math.log(0.7 / 0.3), rel=1e-12)


@pytest.mark.parametrize("quantity", ["accuracy", "loss", "margin"])
def test_the_gap_is_closed_by_the_oracle_and_not_by_nothing(quantity: str) -> None:
    before, oracle = drawn(1, noise=0.1), drawn(2, noise=2.0)
    assert gap_closed(quantity, before, oracle, [oracle]).value == pytest.approx(1.0)
    assert gap_closed(quantity, before, before, [oracle]).value == pytest.approx(0.0)
    overshot = Outputs(-5 * before.logits, before.targets)
    assert gap_closed(quantity, before, overshot, [oracle]).value < 0


def test_the_gaps_interval_covers_what_all_examples_give() -> None:
    """Of 200 draws of 300 out of many examples, about 95 % hold the value on all of them."""
    before, after, oracle = (
        drawn(s, noise=n, size=4000) for s, n in ((1, 0.1), (2, 1.0), (3, 2.0))
    )
    whole = gap_closed("loss", before, after, [oracle]).value
    generator, hits = torch.Generator().manual_seed(0), 0
    for _ in range(200):
        chosen = torch.randperm(4000, generator=generator)[:300]
        parts = [Outputs(o.logits[chosen], o.targets[chosen]) for o in (before, after, oracle)]
        interval = gap_closed("loss", parts[0], parts[1], parts[2:]).interval
        assert interval is not None
        hits += interval[0] <= whole <= interval[1]
    assert hits / 200 > 0.95 - 4 * (0.95 * 0.05 / 200) ** 0.5


def test_no_gap_is_refused() -> None:
    with pytest.raises(BadRequest, match="no gap to close"):
        gap_closed("loss", drawn(1), drawn(2), [drawn(1)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gap_that_rounding_makes_is_none(dtype: torch.dtype) -> None:
    """Of float32 logits a relative 1e-7 is rounding; of float64 logits it is a gap."""
    before = drawn(1)
    before = Outputs(before.logits.to(dtype), before.targets)
    oracle = Outputs(before.logits * (1 + 1e-7), before.targets)
    assert has_gap("loss", before, [oracle]) == (dtype == torch.float64)


def test_a_gap_within_the_oracles_noise_is_none() -> None:
    """Losses of 1, 1.2 and 1.4 for oracles: 1.44 is .24 away, less than their mean gap, .267."""

    def of_loss(loss: float) -> Outputs:
        """Two classes, each example with this loss."""
        wrong = math.log(math.expm1(loss))
        return outputs(torch.tensor([[0.0, wrong]] * 5, dtype=torch.float64), [0] * 5)

    oracles = [of_loss(loss) for loss in (1.0, 1.2, 1.4)]
    assert not has_gap("loss", of_loss(1.44), oracles)
    assert has_gap("loss", of_loss(1.48), oracles)
    assert has_gap("loss", of_loss(1.44), oracles[1:2])
    with pytest.raises(BadRequest, match="as they are to each other"):
        gap_closed("loss", of_loss(1.44), of_loss(0.0001), oracles)


def test_a_table_shows_a_dash_for_a_share_of_no_gap() -> None:
    oracles = [Split(drawn(s), drawn(s + 10), drawn(s + 20)) for s in (2, 3)]
    found = closeness(oracles[0], oracles, noise_floors(oracles), oracles[0])
    assert not [finding.name for finding in found if finding.name.startswith("G ")]
    place = [column.figure for column in COLUMNS].index("G loss")
    assert cells([Row("same", tuple(found))])[0][place] == "–"


def test_oracles_equal_but_for_rounding_have_no_ratio() -> None:
    first = Outputs(drawn(1).logits.float(), drawn(1).targets)
    again = Outputs(first.logits * (1 + 2e-7), first.targets)
    floor = noise_floor([first, again])
    assert floor < 1e-12
    with pytest.raises(BadRequest, match="identical"):
        indistinguishability("R", divergence("JSD", drawn(2), [first], reference=floor))


def test_what_is_not_finite_is_refused_by_set_and_example() -> None:
    logits = drawn(1, size=6).logits
    for place, bad in ((4, math.nan), (2, math.inf)):
        broken = logits.clone()
        broken[place, 1] = bad
        with pytest.raises(IllPosed, match=f"the forget set .* example {place}"):
            Outputs(broken, classes(6, 4), of="the forget set")
        with pytest.raises(IllPosed, match=f"example {place}"):
            jensen_shannon(logits, broken)


@pytest.mark.parametrize("target", [-100, 3])
def test_targets_that_are_no_classes_are_refused_by_name(target: int) -> None:
    with pytest.raises(BadRequest, match=rf"Target {target} of example 1 of the test set"):
        Outputs(torch.zeros(2, 3), torch.tensor([0, target]), of="the test set")


def test_comparisons_of_other_examples_or_nothing_are_refused() -> None:
    model, fewer = drawn(1), drawn(2, size=20)
    swapped = Outputs(model.logits, model.targets.flip(0))
    for other in (fewer, swapped):
        for audit in (loss_gap, divergence):
            with pytest.raises(BadRequest, match="different examples"):
                audit("A", model, [other])
        with pytest.raises(BadRequest, match="different examples"):
            gap_closed("loss", model, model, [other])
    with pytest.raises(BadRequest, match="one oracle"):
        loss_gap("A", model, [])


def test_one_example_or_one_oracle_has_no_spread_to_tell() -> None:
    one = Outputs(drawn(1).logits[:1], drawn(1).targets[:1])
    other = Outputs(drawn(2).logits[:1], one.targets)
    assert loss_gap("gap", one, [other]).interval is None
    distance = divergence("JSD", one, [other], reference=0.1)
    assert distance.interval is None
    assert indistinguishability("R", distance).interval is None
    assert gap_closed("loss", one, one, [other]).interval is None
    model, oracle = (Split(drawn(s), drawn(s), drawn(s)) for s in (1, 2))
    assert tow(model, [oracle]).interval is None


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = mean_interval(values) or (0, 0)
    half = 3.182446 * math.sqrt(values.var(ddof=1) / 4)  # t of 3 degrees of freedom
    assert (low, high) == pytest.approx((4 - half, 4 + half), rel=1e-6)


def test_shares_that_do_not_vary_keep_an_interval() -> None:
    """Nine of nine: the least share that gives it once in forty is .025^(1/9)."""
    assert share_interval(1.0, 9) == pytest.approx((0.025 ** (1 / 9), 1.0))
    assert share_interval(0.0, 9) == pytest.approx((0.0, 1 - 0.025 ** (1 / 9)))
    found = share_finding("recall", np.ones(50))
    assert found.interval == pytest.approx((0.025 ** (1 / 50), 1.0))


def test_loss_gap_has_a_sign() -> None:
    good, bad = drawn(1, noise=0.1), drawn(2, noise=3.0)
    assert loss_gap("gap", bad, [good]).value > 0 > loss_gap("gap", good, [bad]).value
    assert loss_gap("gap", good, [good]).value == 0.0


def test_closeness_names_what_the_tables_show() -> None:
    model, *oracles = [Split(drawn(s), drawn(s + 10), drawn(s + 20)) for s in (1, 2, 3)]
    before = Split(drawn(4, noise=0.1), drawn(14), drawn(24))
    floors = noise_floors(oracles)
    found = {finding.name: finding for finding in closeness(model, oracles, floors, before)}
    shown = {"FA", "RA", "TA", "ToW", "JSD f", "Rf", "Rr", "Rt", "G loss"}
    assert shown <= set(found)
    assert "G margin" not in found  # less noise about the same margins leaves no gap to close
    assert found["JSD f"].reference == floors["f"]
    ratio = found["Rf"]
    assert ratio.value == pytest.approx(found["JSD f"].value / floors["f"])
    assert ratio.interval is not None
    assert ratio.interval[0] < ratio.value < ratio.interval[1]
    assert found["FA"].to_json()["value"] == found["FA"].value


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(3, 2), torch.zeros(4, dtype=torch.long)),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)),
        (torch.zeros(3, 2), torch.zeros(3)),
    ],
)
def test_outputs_of_no_classifier_are_refused(logits: Tensor, targets: Tensor) -> None:
    with pytest.raises(BadRequest):
        Outputs(logits, targets)
