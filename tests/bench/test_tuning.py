"""Tuning: what it looks at, where a grid goes on, and what it took."""

from __future__ import annotations

from typing import Any

import pytest

from curenu.audits import Finding
from curenu.bench.config import MethodConfig
from curenu.bench.tuning import Trial, at_edge, beyond, choice, score

RATES = ({"x": 0.1}, {"x": 0.3}, {"x": 0.9})


def fine_tune(**grid: tuple[Any, ...]) -> MethodConfig:
    return MethodConfig(method="fine-tune", grid=grid)


def test_the_score_does_not_look_at_the_test_set() -> None:
    found = {"Rf": 2.0, "Rr": 1.0, "G accuracy": 0.5, "G loss": 1.5}
    known = [Finding(name, value) for name, value in found.items()]
    assert score(known) == 2.0
    assert score([*known, Finding("Rt", 50.0), Finding("ToW", 0.0), Finding("TA", 0.0)]) == 2.0


def test_least_and_largest_are_edges_and_what_lies_between_is_none() -> None:
    assert at_edge(RATES, {"x": 0.1}) == {"x": -1}
    assert at_edge(RATES, {"x": 0.3}) == {}
    assert at_edge(RATES, {"x": 0.9}) == {"x": 1}
    assert at_edge(RATES[:1], {"x": 0.1}) == {}
    assert at_edge([{"x": "a"}, {"x": "b"}], {"x": "a"}) == {}
    assert at_edge([{"x": True}, {"x": False}], {"x": True}) == {}


@pytest.mark.parametrize(
    ("grid", "best", "further"),
    [
        ((0.01, 0.03), 0.03, 0.09),
        ((0.01, 0.03), 0.01, 0.00333333),
        ((0.01, 0.1, 0.2), 0.2, 0.4),
        ((0.01, 0.1, 0.2), 0.1, None),
    ],
)
def test_a_grid_goes_on_by_its_factor(
    grid: tuple[float, ...], best: float, further: float | None
) -> None:
    tried = [{"epochs": 2, "learning_rate": rate} for rate in grid]
    found = beyond(fine_tune(learning_rate=grid), tried, {"epochs": 2, "learning_rate": best})
    assert found == ([{"epochs": 2, "learning_rate": further}] if further else [])


def test_whole_numbers_stay_whole_and_what_a_method_refuses_is_left_out() -> None:
    epochs = [{"epochs": 2}, {"epochs": 4}]
    assert beyond(fine_tune(epochs=(2, 4)), epochs, epochs[1]) == [{"epochs": 8}]
    least = [{"epochs": 1}, {"epochs": 4}]
    assert beyond(fine_tune(epochs=(1, 4)), least, least[0]) == []


def test_every_argument_at_an_edge_goes_on_from_the_best_point() -> None:
    points = [{"epochs": e, "learning_rate": r} for e in (2, 4) for r in (0.1, 0.2)]
    grid = fine_tune(epochs=(2, 4), learning_rate=(0.1, 0.2))
    assert beyond(grid, points, points[3]) == [
        {"epochs": 8, "learning_rate": 0.2},
        {"epochs": 4, "learning_rate": 0.4},
    ]


def test_the_best_is_chosen_and_what_stayed_at_an_edge_is_named() -> None:
    trials = [Trial("e", "m", tuple(point.items())) for point in RATES]
    found = choice(trials, [{"score": 2.0}, {"score": None}, {"score": 1.0}], ["x"])
    assert (found["arguments"], found["at the edge"]) == ({"x": 0.9}, ["x"])
    assert choice(trials, [{}, {}, {}], ["x"])["at the edge"] == []


def test_a_run_goes_on_beyond_an_edge_and_counts_what_tuning_took(finished: Any) -> None:
    _, results = finished
    for entry in results["tuning"]:
        rates = sorted(trial["arguments"]["learning_rate"] for trial in entry["trials"])
        assert {0.001, 0.01} < set(rates)
        assert len(rates) <= 2 + results["config"]["tuning_extensions"]
        inside = entry["arguments"]["learning_rate"] not in (rates[0], rates[-1])
        assert entry["at the edge"] == ([] if inside else ["learning_rate"])
        assert inside or len(rates) == 2 + results["config"]["tuning_extensions"]
        assert all(trial["weighted"] >= 3 * 1000 for trial in entry["trials"])


def test_cells_have_their_cost_in_weighted_examples_and_settings_are_filled_in(
    finished: Any,
) -> None:
    _, results = finished
    cells = [c for c in results["cells"] if c["method"] == "fine-tune (epochs 1)"]
    for cell in cells:
        size = results["requests"][cell["erasure"]]
        gradients = 3 * 3 * (size["of"] - size["erased"])  # a training of three epochs
        assert cell["weighted ratio"] == pytest.approx(cell["cost"]["weighted"] / gradients)
    sequence = next(cell for cell in cells if "rounds" in cell)
    assert [entry["weighted ratio"] > 0 for entry in sequence["rounds"]] == [True, True]
    settings = results["settings"]["fine-tune (epochs 1)"]
    assert settings["epochs"] == "1"
    assert "learning_rate" not in settings
    assert "momentum" in settings
