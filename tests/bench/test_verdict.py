"""The sentence that says what a method did on an erasure."""

from __future__ import annotations

import pytest

from curenu.bench import Figure, Line, verdict


def line(method: str, failed: tuple[str, ...] = (), **figures: float) -> Line:
    named = {name.replace("_", " "): Figure(value, None, 1) for name, value in figures.items()}
    return Line("e", method, named, failed, {})


def lines(own: Line) -> list[Line]:
    nothing = line("do nothing", Rf=3.0, RMIA_AUC=0.6)
    return [nothing, line("oracle (retrained)", Rf=1.0, RMIA_AUC=0.5), own]


def test_it_says_how_near_the_attack_and_the_cost() -> None:
    said = verdict(lines(line("m", Rf=1.5, RMIA_AUC=0.55, ratio=0.25)), "m")
    assert "are 1.50 times as far" in said
    assert "3.00 times without erasing" in said
    assert "scores 0.60 before, 0.55 after and 0.50 on retrained networks" in said
    assert "it took 0.25 of the time of a retraining." in said
    assert "harm" not in said


@pytest.mark.parametrize(("there", "harm"), [(3.5, True), (2.5, False)])
def test_what_is_further_away_than_doing_nothing_did_harm(there: float, harm: bool) -> None:
    assert ("so it did harm" in verdict(lines(line("m", Rf=there)), "m")) is harm


@pytest.mark.parametrize(("ratio", "dear"), [(1.2, True), (0.9, False)])
def test_it_says_where_retraining_is_cheaper(ratio: float, dear: bool) -> None:
    said = verdict(lines(line("m", Rf=1.0, ratio=ratio)), "m")
    assert ("retraining would have been cheaper" in said) is dear


def test_a_failure_is_the_verdict() -> None:
    assert verdict(lines(line("m", ("The step is not finite.",))), "m") == (
        "m failed: The step is not finite."
    )
