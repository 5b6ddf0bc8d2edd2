"""Marks of the table: nearest, inside the oracles' interval, worse than doing nothing."""

from __future__ import annotations

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
        model("below", 0.3), model("unsure", 2.5, 0.9),
    )  # fmt: skip
    assert found == {
        NOTHING: (False, ""),
        ORACLE: (False, ""),
        "near": (True, "●"),
        "far": (False, "▾"),
        "below": (False, ""),
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
