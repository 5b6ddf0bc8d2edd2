"""Means over trained networks, by hand: a network's seeds are no further networks."""

from __future__ import annotations

from typing import Any

import pytest

from curenu.bench import lines_of
from curenu.bench.summary import over_networks
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
