"""A report with everything that one can hold."""

from __future__ import annotations

from curenu.erasure import StepRecord
from curenu.report import (
    NOTHING,
    ORACLE,
    Asked,
    Figure,
    Model,
    Plot,
    Report,
    Row,
    Section,
    Table,
    damping_plot,
)

__all__ = ["full", "models"]

_TRACE = tuple(
    StepRecord(penalty=1.0, damping=damping, step_norm=0.1) for damping in (0.1, 0.03, 0.2)
)


def models() -> tuple[Model, ...]:
    """The references, a good, an exploded and a failed method, and some to make the page long."""
    before = {"Rf": 3.0, "Rr": 1.0, "G loss": 0.0, "RMIA AUC": 0.7, "TA": 0.95, "ratio": 0.0}
    aim = {"Rf": 1.0, "Rr": 1.0, "G loss": 0.9, "RMIA AUC": 0.5, "TA": 0.94, "ratio": 1.0}
    good = {"Rf": 1.2, "Rr": 1.1, "G loss": 0.95, "RMIA AUC": 0.52, "TA": 0.95, "ratio": 0.25,
            "FA": 0.9, "JSD f": 0.002, "update_norm": 0.4, "products": 12345.0,
            "damping": 0.03}  # fmt: skip
    wild = {"Rf": 3709.0, "Rr": 250.0, "G loss": -4000.0, "RMIA AUC": 0.2, "TA": 0.1,
            "ratio": 130.0, "update_norm": float("inf")}  # fmt: skip
    made = [_model(NOTHING, before), _model(ORACLE, aim), _model("stocurenu", good)]
    made += [_model("pseudo-inverse-newton", wild), Model("dense", failed=("It takes 10 GiB.",))]
    return (*made, *(_model(f"method {n}", good | {"Rf": 1.0 + n / 4}) for n in range(4)))


def _model(name: str, figures: dict[str, float]) -> Model:
    found = {
        figure: Figure(value, None if figure == "ratio" else (value - 0.04, value + 0.04), 3)
        for figure, value in figures.items()
    }
    return Model(name, found, status="Done <well>." if name == "stocurenu" else "")


def full() -> Report:
    """Every part: verdict, tables, dots, plots, conclusions, notes, requests, provenance."""
    drawing = damping_plot([Row("a", trace=_TRACE)]) or ""
    plots = tuple(Plot(name, "What the cubic term chose.", drawing) for name in ("One", "Two"))
    wide = Table("What was chosen", tuple(f"heading {n}" for n in range(14)),
                 (tuple(f"a rather long text {n}" for n in range(14)),))  # fmt: skip
    section = Section(
        "90 % of <two> classes",
        "Erased: 14 of 1,437 examples.",
        models(),
        "stocurenu",
        notes=("U-LiRA needs more networks.",),
        conclusions=("Nothing here is a guarantee of privacy.",),
        plots=plots,
        tables=(wide, Table("The paper's figures", ("figure", "value"), (("Rf", "1"),), True)),
    )
    return Report(
        "A title & more",
        "About the task.",
        (section, Section("Another", models=models()[:3])),
        (Asked("letter 17", "14", "stocurenu", "granted", "2026-01-01"),),
        {"made on": "2026-01-01", "data": "0" * 64, "head of the ledger": "record 2, " + "a" * 64},
    )
