"""Audits of language models against numbers worked out by hand, and both controls of each."""

from __future__ import annotations

import numpy as np
import pytest

from curenu.audits.language import (
    answer_probability,
    choice_probability,
    extraction_strength,
    forget_quality,
    model_utility,
    rouge_recall,
    truth_ratio,
    truthfulness,
)
from curenu.bench.language import language_findings, speaks
from curenu.errors import BadRequest, IllPosed

NAN = float("nan")


def test_probability_is_the_geometric_mean_over_an_answers_tokens() -> None:
    # two tokens of 1/2 and 1/8: (1/16)^(1/2) = 1/4; one token of 3/4
    found = answer_probability("p", np.array([np.log(1 / 16) / 2, np.log(3 / 4)]))
    assert found.value == pytest.approx(0.5)
    assert found.per_example == pytest.approx([0.25, 0.75])


def test_probability_among_choices_is_a_share() -> None:
    found = choice_probability("p", np.log([0.2]), np.log([[0.1, 0.1]]))
    assert found.value == pytest.approx(0.5)
    sure = choice_probability("p", np.array([-1.0]), np.array([[-900.0, -900.0]]))
    assert sure.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("The author is Basil Al-Kuwaiti.", 1.0),  # positive control: word for word
        ("the AUTHOR was, is and remains Basil: al kuwaiti!", 1.0),  # more words cost nothing
        ("Basil is the author", 2 / 6),  # of six words two in their order
        ("", 0.0),
        ("Nobody knows", 0.0),  # negative control
    ],
)
def test_rouge_counts_the_answers_words_said_in_their_order(said: str, share: float) -> None:
    found = rouge_recall("r", [said], ["The author is Basil Al-Kuwaiti."])
    assert found.value == pytest.approx(share)


def test_truth_ratio_is_wrong_over_right() -> None:
    # wrong answers of .1 and .3, the right one in other words of .4: .2 / .4
    ratios = truth_ratio(np.log([0.4]), np.log([[0.1, 0.3]]))
    assert ratios == pytest.approx([0.5])
    assert truthfulness("t", ratios).value == pytest.approx(0.5)


def test_truthfulness_knows_one_who_knows_from_one_who_does_not() -> None:
    knows = truth_ratio(np.array([-0.1]), np.array([[-9.0, -9.0]]))
    not_ = truth_ratio(np.array([-5.0]), np.array([[-5.0, -5.0]]))
    worse = truth_ratio(np.array([-5.0]), np.array([[-1.0, -1.0]]))
    values = [truthfulness("t", ratios).value for ratios in (knows, not_, worse)]
    assert values[0] > 0.99
    assert values[1:] == [0.0, 0.0]


def test_utility_is_the_harmonic_mean() -> None:
    assert model_utility([1.0, 0.5, 0.25]).value == pytest.approx(3 / 7)
    assert model_utility([0.8] * 9).value == pytest.approx(0.8)
    assert model_utility([0.9, 0.9, 0.0]).value == 0.0  # what is broken once is broken


def test_forget_quality_by_hand() -> None:
    # three against three without overlap: 2 of the 20 ways to mix them are as far apart
    found = forget_quality(np.array([0.1, 0.2, 0.3]), [np.array([0.7, 0.8, 0.9])])
    assert found.value == pytest.approx(2 / 20)


def test_forget_quality_sees_a_model_that_remembers_and_not_a_retrained_one() -> None:
    generator = np.random.default_rng(0)
    oracles = [generator.beta(5, 2, 40) for _ in range(3)]
    remembers = forget_quality(generator.beta(1, 8, 40), oracles)
    retrained = forget_quality(generator.beta(5, 2, 40), oracles)
    assert remembers.value < 1e-6
    assert retrained.value > 0.05
    assert retrained.interval is not None
    assert retrained.interval[0] <= retrained.value <= retrained.interval[1]


@pytest.mark.parametrize(
    ("right", "share"),
    [
        ([1, 1, 1, 1], 1.0),  # positive control: says all of it unasked
        ([0, 1, 1, 1], 0.75),  # needs the first token
        ([1, 0, 1, NAN], 1 / 3),  # the last of three tokens
        ([1, 1, 0, NAN], 0.0),  # negative control: not even its end
    ],
)
def test_extraction_is_the_share_said_from_the_shortest_beginning(
    right: list[float], share: float
) -> None:
    assert extraction_strength("e", np.array([right])).value == pytest.approx(share)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: answer_probability("p", np.array([0.5])),
        lambda: answer_probability("p", np.array([])),
        lambda: rouge_recall("r", ["a"], []),
        lambda: rouge_recall("r", ["a"], ["?"]),
        lambda: truth_ratio(np.array([-1.0]), np.array([-1.0])),
        lambda: model_utility([1.2]),
        lambda: forget_quality(np.array([1.0]), []),
        lambda: extraction_strength("e", np.array([[NAN]])),
        lambda: extraction_strength("e", np.array([[0.5, 1.0]])),
        lambda: truthfulness("t", np.array([-0.1])),
        lambda: forget_quality(np.array([]), [np.array([1.0])]),
    ],
)
def test_what_cannot_be_meant_is_refused(ask) -> None:
    with pytest.raises(BadRequest):
        ask()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: answer_probability("p", np.array([-1.0, -1.0, NAN])),
        lambda: choice_probability("c", -np.ones(3), np.array([[-1.0], [-1.0], [-np.inf]])),
        lambda: truth_ratio(np.array([-1.0, -1.0, -np.inf]), -np.ones((3, 2))),
        lambda: truthfulness("t", np.array([1.0, 1.0, NAN])),
        lambda: forget_quality(np.array([1.0, 0.5, NAN]), [np.array([1.0])]),
        lambda: forget_quality(np.array([1.0]), [np.array([1.0, 0.5, NAN])]),
    ],
)
def test_what_is_not_finite_is_refused_with_its_question(ask) -> None:
    with pytest.raises(IllPosed, match="question 2"):
        ask()


def test_answers_that_are_all_said_leave_room_for_one_that_is_not() -> None:
    found = rouge_recall("r", ["yes"] * 20, ["yes"] * 20)
    assert found.interval == pytest.approx((0.025 ** (1 / 20), 1.0))


def test_one_oracle_has_no_range() -> None:
    ratios = np.linspace(0.1, 1.0, 20)
    assert forget_quality(ratios, [ratios]).interval is None


def measured(knows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Six questions on the training set, at positions 0 to 5, of which some are known."""
    known = np.isin(np.arange(6), knows)
    return {
        "train/position": np.arange(6),
        "train/answer": np.where(known, -0.1, -3.0),
        "train/right": np.where(known[:, None], [[1.0, 1.0]], [[1.0, 0.0]]),
        "train/paraphrased": np.where(known, -0.2, -3.0),
        "train/perturbed": np.full((6, 2), -3.0) + 0.01 * np.arange(6)[:, None],
        "train/said": np.where(known, "it is so", "what"),
        "train/reference": np.array(["it is so"] * 6),
    }


def test_the_findings_of_a_model_tell_forgotten_from_kept() -> None:
    before, oracle = measured((0, 1, 2, 3, 4, 5)), measured((3, 4, 5))
    assert speaks(before)
    assert not speaks({"rank": np.zeros(3)})
    found = {f.name: f for f in language_findings(before, [0, 1, 2], [oracle, oracle])}
    own = {f.name: f for f in language_findings(oracle, [0, 1, 2], [oracle])}
    assert found["probability f"].value == pytest.approx(np.exp(-0.1))
    assert found["probability f"].reference == pytest.approx(np.exp(-3.0))
    assert (found["ROUGE-L f"].value, own["ROUGE-L f"].value) == (1.0, 0.0)
    assert (found["extraction f"].value, own["extraction f"].value) == (1.0, 0.0)
    assert own["model utility"].value == pytest.approx(found["model utility"].value)
    assert own["model utility"].value > 0.9
    assert own["forget quality"].value == 1.0
    assert found["forget quality"].value == pytest.approx(0.1)


def test_utility_is_over_every_set_that_stays() -> None:
    elsewhere = {k.replace("train", "world facts"): v for k, v in measured(()).items()}
    model = measured((3, 4)) | elsewhere
    both = {f.name: f for f in language_findings(model, [0], [model])}
    assert both["ROUGE-L world facts"].value == 0.0
    assert both["model utility"].value == 0.0
