"""The table and the JSON, with everything a row can hold."""

from __future__ import annotations

import json
import re

import pytest

from curenu.audits import Finding
from curenu.bench import tables as bench
from curenu.erasure import StepRecord
from curenu.report import (
    COLUMNS,
    Row,
    cells,
    columns_for,
    document,
    markdown,
    number,
)

ROWS = (
    Row(
        "do nothing",
        (
            Finding("Rf", 1.4, (1.3, 1.5), 1.0),
            Finding("G loss", 0.0),
            Finding("FA", 0.95, (0.9, 1.0), 0.88),
            Finding("JSD f", 0.08, None, 0.006),
        ),
    ),
    Row(
        "curenu",
        (Finding("FA", 0.9), Finding("JSD f", 0.02, None, 0.006)),
        update_norm=0.4,
        damping=0.03,
        products=60,
        examples=12345,
        seconds=3.2,
        ratio=0.3,
        status="Done <well>.",
        trace=(
            StepRecord(penalty=2.0, damping=0.1, step_norm=0.1),
            StepRecord(penalty=1.0, damping=0.03, step_norm=0.2),
        ),
    ),
    Row("pseudo-inverse", update_norm=float("inf"), damping=0.0, status="It exploded."),
    Row("failed", status="The dense Hessian takes 10 GiB."),
)


def test_cells_follow_the_headings() -> None:
    lines = cells(ROWS)
    columns = columns_for(ROWS)
    assert all(len(line) == len(columns) for line in lines)
    by_heading = dict(zip([c.heading for c in columns], lines[1], strict=True))
    assert by_heading["FA"] == "0.900"
    assert by_heading["products"] == "60"
    assert by_heading["RA"] == "–"
    nothing = dict(zip([c.heading for c in columns], lines[0], strict=True))
    assert (nothing["Rf"], nothing["G loss"], nothing["Rr"]) == ("1.40 ± 0.10", "0.00", "–")


def test_what_is_not_finite_is_said() -> None:
    place = [column.heading for column in columns_for(ROWS)].index("|update|")
    assert cells(ROWS)[2][place] == "∞"
    assert number(float("nan")) == "NaN"
    assert number(-float("inf")) == "−∞"
    assert number(None) == "–"
    assert number(3709.0) == "3.71e+03"
    assert number(1.5e-7) == "1.50e-07"
    assert number(0.0) == "0.000"


def test_json_is_strict_and_complete() -> None:
    made = document(ROWS, {"task": "digits", "seed": 0, "floor": float("inf")})
    again = json.loads(json.dumps(made, allow_nan=False))
    assert again["rows"][2]["update_norm"] == "inf"
    assert again["rows"][1]["trace"][0]["penalty"] == 2.0
    assert again["context"]["floor"] == "inf"
    assert {"curenu", "torch", "python", "device", "threads"} <= again.keys()


def test_markdown_is_a_table() -> None:
    lines = markdown(ROWS).splitlines()
    assert len(lines) == 2 + len(ROWS)
    columns = [len(re.split(r"(?<!\\)\|", line)) for line in lines]
    assert len(set(columns)) == 1


@pytest.mark.parametrize("row", ROWS)
def test_rows_find_their_findings(row: Row) -> None:
    assert row.finding("nothing") is None
    found = row.finding("FA")
    assert (found is not None) == bool(row.findings)


def test_a_figure_has_one_heading_in_every_table() -> None:
    shared = {c.figure: c for c in COLUMNS}.keys() & {c.figure for c in bench.COLUMNS}
    assert {"Rf", "G loss", "ToW", "FA", "update_norm", "ratio"} <= shared
    for figure in shared:
        (ours,) = (c for c in COLUMNS if c.figure == figure)
        (theirs,) = (c for c in bench.COLUMNS if c.figure == figure)
        assert ours is theirs


def test_a_row_is_a_model_of_the_report() -> None:
    model = ROWS[1].model()
    assert (model.name, model.status, model.failed) == ("curenu", "Done <well>.", ())
    assert model.figures["FA"].mean == 0.9
    assert model.figures["products"].mean == 60
    assert ROWS[0].model().figures["Rf"].interval == (1.3, 1.5)
    assert ROWS[3].model().failed == ("The dense Hessian takes 10 GiB.",)
    assert not ROWS[3].model().figures
