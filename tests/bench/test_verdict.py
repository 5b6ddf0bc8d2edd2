"""The sentence that says what a method did on an erasure."""

from __future__ import annotations

from curenu.bench import Line, verdict
from curenu.report import Figure


def line(method: str, failed: tuple[str, ...] = (), **figures: float) -> Line:
    named = {name.replace("_", " "): Figure(value) for name, value in figures.items()}
    return Line("e", method, named, failed, {})


def test_a_line_has_the_verdict_of_a_report() -> None:
    nothing, oracle = line("do nothing", Rf=3.0), line("oracle (retrained)", Rf=1.0)
    said = verdict([nothing, oracle, line("m", Rf=1.5, ratio=1.25)], "m")
    assert said.startswith("m: 75 % of the gap to retraining is closed")
    assert "1.50 times as far" in said
    assert "3.00 times without erasing" in said
    assert "It took 1.25 times the time of a retraining" in said
    assert "retraining would have been cheaper" in said


def test_a_failure_is_the_verdict() -> None:
    assert verdict([line("m", ("The step is not finite.",))], "m") == (
        "m: failed: The step is not finite."
    )
