"""Means over trained networks, by hand: a network's seeds are no further networks."""

from __future__ import annotations

from typing import Any

import pytest

from curenu.bench import lines_of, markdown
from curenu.bench.summary import over_networks, weighted_ratio
from curenu.bench.tables import EDGE, UNCOUNTED
from curenu.report import NOTHING, ORACLE, Figure


def cell(method: str, trained: int, seed: int, value: float | None) -> dict[str, Any]:
    known = {"erasure": "e", "method": method, "trained": trained, "seed": seed, "arguments": {}}
    if value is None:
        return {**known, "failed": "gone"}
    return {**known, "findings": [{"name": "Rf", "value": value, "interval": None}]}


def figures(*cells: dict[str, Any]) -> dict[str, Figure | None]:
    lines = lines_of({"cells": list(cells), "ensembles": []})
    return {line.method: line.figures.get("Rf") for line in lines}


def test_two_networks_with_two_seeds_each_count_as_two() -> None:
    """Means 2 and 4: mean 3, s = √2, half = 12.7062 · √2 / √2; four values would give 2.60."""
    found = over_networks({0: [1.0, 3.0], 1: [3.0, 5.0]})
    assert (found.mean, found.count) == (3.0, 2)
    assert found.half == pytest.approx(12.7062, abs=1e-4)


def test_what_rounding_leaves_of_figures_that_cancel_is_nothing() -> None:
    assert over_networks({0: [0.1 + 0.2], 1: [-0.3]}).mean == 0.0
    assert over_networks({n: [0.1] for n in range(3)}).half == 0.0
    assert over_networks({0: [1e-30], 1: [3e-30]}).mean == 2e-30


def test_a_network_with_more_seeds_weighs_no_more() -> None:
    assert over_networks({0: [0.0, 0.0, 0.0], 1: [2.0]}).mean == 1.0


def test_of_one_network_there_is_no_interval() -> None:
    assert over_networks({0: [1.0, 3.0]}) == Figure(2.0, None, 1)


def test_cells_are_grouped_by_network_and_every_oracle_is_one() -> None:
    found = figures(
        *[cell("m", trained, seed, 1.0 + trained + seed) for trained in (0, 1) for seed in (0, 1)],
        *[cell(ORACLE, 0, seed, 1.0) for seed in (10, 11, 12)],
    )
    assert found["m"] is not None
    assert (found["m"].mean, found["m"].count) == (2.0, 2)
    assert found[ORACLE] is not None
    assert found[ORACLE].count == 3


def test_every_row_is_over_the_same_networks() -> None:
    nothing = [cell(NOTHING, trained, 0, float(trained)) for trained in (0, 1, 2)]
    whole = [cell("whole", trained, 0, 10.0 * trained) for trained in (0, 1, 2)]
    part = [cell("part", 0, 0, 5.0), cell("part", 1, 0, 7.0), cell("part", 2, 0, None)]
    found = figures(*nothing, *whole, *part, cell("lost", 0, 0, None))
    means = {method: figure and (figure.mean, figure.count) for method, figure in found.items()}
    assert means == {NOTHING: (0.5, 2), "whole": (5.0, 2), "part": (6.0, 2), "lost": None}


def test_weighted_examples_are_counted_in_gradients_of_a_retraining() -> None:
    """100 of 400 examples passed, 150 forward passes of work, 1,200 in a retraining: an eighth."""
    cost = {"examples": 100, "weighted": 150}
    assert weighted_ratio({"method": "m", "cost": cost, "examples ratio": 0.25}) == 0.125
    assert weighted_ratio({"method": "m", "cost": cost, "weighted ratio": 0.3}) == 0.3
    assert (weighted_ratio({"method": NOTHING}), weighted_ratio({"method": ORACLE})) == (0.0, 1.0)


def test_cells_that_counted_no_weighted_examples_have_no_ratio() -> None:
    old = {"method": "m", "cost": {"examples": 100}, "examples ratio": 0.25}
    assert weighted_ratio(old) is None
    assert weighted_ratio({"method": "m", "cost": {"examples": 0, "weighted": 0}}) is None


def results(*cells: dict[str, Any], chosen: float) -> dict[str, Any]:
    method = {"method": "m", "grid": {"x": [1.0, 2.0]}}
    trials = [{"arguments": {"x": x}, "score": 1.0} for x in (0.5, 1.0, 2.0)]
    tuned = {"erasure": "e", "method": "m", "arguments": {"x": chosen}, "trials": trials}
    erasure = {"name": "e", "kind": "random", "classes": [], "count": 1, "rounds": 1}
    return {
        "config": {"erasures": [erasure], "methods": [method], "published": []},
        "requests": {"e": {"erased": 1, "of": 2}},
        "tuning": [tuned], "cells": list(cells), "ensembles": [],
    }  # fmt: skip


def test_a_row_says_that_its_choice_is_at_the_edge_of_its_grid() -> None:
    assert f"| m {EDGE} |" in markdown(results(cell("m", 0, 0, 1.0), chosen=2.0))
    inside = markdown(results(cell("m", 0, 0, 1.0), chosen=1.0))
    assert "| m |" in inside
    assert EDGE not in inside


def test_a_table_says_why_there_is_no_weighted_cost() -> None:
    nothing, old = cell(NOTHING, 0, 0, 2.0), cell("m", 0, 0, 1.0)
    new = {**old, "weighted ratio": 0.2}
    assert UNCOUNTED in markdown(results(nothing, old, chosen=1.0))
    assert UNCOUNTED not in markdown(results(nothing, new, chosen=1.0))
