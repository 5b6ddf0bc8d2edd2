"""Marks of the table: nearest, inside the oracles' interval, worse than doing nothing."""

from __future__ import annotations

from curenu.bench.cell import NOTHING, ORACLE
from curenu.bench.summary import Figure, Line
from curenu.bench.tables import COLUMNS, marked
from curenu.report import Column

RF = next(column for column in COLUMNS if column.heading == "Rf")
MOVED = next(column for column in COLUMNS if column.heading == "|update|")


def line(method: str, mean: float, half: float = 0.01, name: str = "Rf") -> Line:
    return Line("e", method, {name: Figure(mean, (mean - half, mean + half), 2)}, (), {})


def marks(column: Column, *lines: Line) -> dict[str, tuple[bool, str]]:
    cells = marked(lines, [column])
    return {line.method: (cell.best, cell.mark) for line, (cell,) in zip(lines, cells, strict=True)}


def test_marks_say_nearest_inside_and_worse() -> None:
    found = marks(
        RF, line(NOTHING, 2.0), line(ORACLE, 1.0, 0.2), line("near", 1.1), line("far", 2.5),
        line("below", 0.3), line("unsure", 2.5, 0.9),
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
    found = marks(RF, line(NOTHING, 1.1), line(ORACLE, 1.0, 0.2), line("near", 1.05))
    assert found["near"] == (True, "")


def test_equals_are_not_set_apart_and_costs_are_not_judged() -> None:
    found = marks(RF, line(NOTHING, 2.0), line(ORACLE, 1.0), line("a", 1.5), line("b", 1.5))
    assert not found["a"][0]
    assert not found["b"][0]
    moved = [line(m, v, name="update_norm") for m, v in ((NOTHING, 0.0), (ORACLE, 9.0), ("a", 9.0))]
    assert marks(MOVED, *moved)["a"] == (False, "")
