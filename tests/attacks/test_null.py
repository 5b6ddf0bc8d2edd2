"""Thresholds of random requests are exceeded as often as they say."""

from __future__ import annotations

import math

import pytest
import torch

from curenu.attacks.influence import ExampleFigures
from curenu.attacks.null import Thresholds, thresholds
from curenu.errors import BadRequest


def pool(size: int = 300) -> ExampleFigures:
    """Heavy tails: a few examples make most of every figure."""
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    return ExampleFigures(drawn[:, 0].abs().exp(), drawn[:, 1] ** 3)


def made(size: int, total: int, level: float, draws: int = 4000) -> Thresholds:
    return thresholds(pool(), size, total, level=level, draws=draws, seed=0)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize(("size", "total"), [(1, 1), (12, 12), (12, 60)])
def test_other_random_requests_exceed_a_threshold_as_often_as_it_says(level, size, total) -> None:
    limits, of = made(size, total, level), pool()
    generator = torch.Generator().manual_seed(1)
    trials, draws = 4000, 4000
    over = torch.zeros(4)
    for _ in range(trials):
        chosen = torch.randperm(300, generator=generator)[:total]
        first = chosen[:size]
        over += torch.tensor(
            [
                bool(of.norms[first].max() > limits.norm),
                bool(of.changes[first].max() > limits.change),
                bool(of.changes[first].sum() > limits.request),
                bool(of.changes[chosen].sum() > limits.session),
            ]
        )
    spread = math.sqrt(level * (1 - level) * (1 / trials + 1 / draws))
    assert (over / trials <= 1 - level + 4 * spread).all()
    # a largest value is shared by many requests: those two may be exceeded less often
    assert (over[2:] / trials >= 1 - level - 4 * spread - 2 / 300).all()


def test_requests_that_share_nothing_with_the_session_have_its_threshold_alone() -> None:
    alone, within = made(12, 12, 0.9), made(12, 60, 0.9)
    assert alone.request == alone.session
    assert within.session != within.request


def test_the_seed_says_the_thresholds() -> None:
    assert made(5, 9, 0.9) == made(5, 9, 0.9)
    assert thresholds(pool(), 5, 9, level=0.9, draws=4000, seed=7) != made(5, 9, 0.9)


def test_more_than_was_measured_and_too_few_draws_are_refused() -> None:
    with pytest.raises(BadRequest, match="cannot be drawn from the 300"):
        made(5, 301, 0.9)
    with pytest.raises(BadRequest, match="9 draws have no quantile at 0.95"):
        made(5, 5, 0.95, draws=9)
    assert math.isfinite(made(5, 5, 0.95, draws=19).request)
