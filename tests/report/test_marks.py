"""Marks of the table: nearest, inside the oracles' interval, worse than doing nothing."""

from __future__ import annotations

import pytest

from curenu.bench.summary import over_networks
from curenu.report import NOTHING, ORACLE, Column, Figure, Model, columns_of, marked

RF, MOVED = columns_of("Rf", "update_norm")


def model(name: str, mean: float, half: float = 0.01, figure: str = "Rf") -> Model:
    return Model(name, {figure: Figure(mean, (mean - half, mean + half), 2)})


def marks(column: Column, *models: Model) -> dict[str, tuple[bool, str]]:
    cells = marked(models, [column], lambda figure, _: str(figure))
    return {one.name: (cell.best, cell.mark) for one, (cell,) in zip(models, cells, strict=True)}


def test_marks_say_nearest_inside_and_worse() -> None:
    found = marks(
        RF, model(NOTHING, 2.0), model(ORACLE, 1.0, 0.2), model("near", 1.1), model("far", 2.5),
        model("unsure", 2.5, 0.9),
    )  # fmt: skip
    assert found == {
        NOTHING: (False, ""),
        ORACLE: (False, ""),
        "near": (True, "●"),
        "far": (False, "▾"),
        "unsure": (False, ""),
    }


def test_nothing_passes_for_an_oracle_where_doing_nothing_does() -> None:
    models = [model(NOTHING, 1.1), model(ORACLE, 1.0, 0.2), model("near", 1.05), model("far", 2.0)]
    assert marks(RF, *models)["near"] == (True, "")


def test_equals_are_not_set_apart_and_costs_are_not_judged() -> None:
    found = marks(RF, model(NOTHING, 2.0), model(ORACLE, 1.0), model("a", 1.5), model("b", 1.5))
    assert not found["a"][0]
    assert not found["b"][0]
    values = ((NOTHING, 0.0), (ORACLE, 9.0), ("a", 9.0))
    moved = [model(m, v, figure="update_norm") for m, v in values]
    assert marks(MOVED, *moved)["a"] == (False, "")


def test_one_method_alone_is_not_the_nearest_of_all() -> None:
    assert marks(RF, model(NOTHING, 2.0), model(ORACLE, 1.0), model("a", 1.5))["a"] == (False, "")


def test_a_mark_is_of_the_prediction_interval_and_not_of_the_mean() -> None:
    """Three oracles 0.9, 1.0, 1.1: s = 0.1, t = 4.3027, mean ± 0.2484, one further ± 0.4968."""
    oracle = over_networks({1: [0.9], 2: [1.0], 3: [1.1]})
    assert oracle.prediction == pytest.approx((1 - 0.496831, 1 + 0.496831), abs=1e-5)
    models = [model(NOTHING, 2.0), Model(ORACLE, {"Rf": oracle})]
    found = marks(RF, *models, model("in", 1.49), model("out", 1.51))
    assert (found["in"][1], found["out"][1]) == ("●", "")


def test_r_below_1_is_never_worse_and_other_figures_are_two_sided() -> None:
    low = model("low", 0.1)
    found = marks(RF, model(NOTHING, 1.5), model(ORACLE, 1.0, 0.02), low, model("far", 1.6))
    assert found["low"] == (True, "●")
    (fa,) = columns_of("FA")
    values = ((NOTHING, 0.9), (ORACLE, 0.8), ("low", 0.1))
    assert marks(fa, *[model(n, v, figure="FA") for n, v in values])["low"][1] == "▾"


def test_a_single_network_is_not_marked() -> None:
    one = Model("far", {"Rf": Figure(9.0, (8.9, 9.1), 1)})
    assert marks(RF, model(NOTHING, 2.0), model(ORACLE, 1.0), one)["far"][1] == ""
    alone = Model(ORACLE, {"Rf": Figure(1.0, (0.8, 1.2), 1)})
    assert marks(RF, model(NOTHING, 2.0), alone, model("near", 1.1))["near"][1] == ""
