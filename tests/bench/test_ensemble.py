"""Audits over cells: which models they set against which, and what is missing and why."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from curenu.audits import klom_findings, unlearning_lira
from curenu.bench.archive import Archive
from curenu.bench.cell import Cell
from curenu.bench.config import Audits
from curenu.bench.ensemble import ensembles, run_ensemble
from curenu.bench.summary import lines_of
from curenu.compare import membership
from curenu.report import NOTHING, ORACLE
from tests.audits.test_attacks import draws, memorisers, oracles

Record = dict[str, Any]

CURVES = {
    NOTHING: [(0, 0.9), (4, 1.0)],
    "keen": [(0, 0.5), (4, 0.9)],
    ORACLE: [(0, 0.5), (4, 0.5)],
}


def cell_of(record: Record) -> Cell:
    arguments = tuple(record["arguments"].items())
    return Cell("tenth", record["method"], record["trained"], record["seed"], arguments)


class Cells:
    """Records of cells and their margins, as an archive has them."""

    def __init__(self, oracles: int = 16, networks: int = 8) -> None:
        self.records: list[Record] = []
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        for seed in range(networks):
            self.add(NOTHING, seed, 0, 3.0)
            for again in (0, 1):
                self.add("keen", seed, again, 0.0, rate=0.1)
        for seed in range(oracles):
            self.add(ORACLE, 0, 10 + seed, 0.0)

    def add(self, method: str, network: int, seed: int, known: float, **arguments: Any) -> None:
        number = len(self.records)
        record = {
            "erasure": "tenth",
            "method": method,
            "trained": network,
            "seed": seed,
            "arguments": arguments,
            "findings": [],
        }
        if network == 0:
            record["relearning"] = {"retain": CURVES[method]}
        self.records.append(record)
        self._kept[repr(cell_of(record))] = {
            "forget": (draws(40, seed=number) + known).astype(np.float32),
            "retain": draws(60, seed=100 + number).astype(np.float32),
            "test": draws(50, seed=200 + number).astype(np.float32),
        }

    def arrays(self, cell: Cell) -> dict[str, np.ndarray]:
        return self._kept[repr(cell)]

    def cell(self, cell: Cell) -> Record | None:
        return next(r for r in self.records if cell_of(r) == cell)

    def audited(self, **audits: Any) -> dict[str, Record]:
        return {
            unit.method: run_ensemble(Audits(**audits), cast(Archive, self), unit)
            for unit in ensembles(self.records)
        }

    def margins(self, method: str, seeds: list[int]) -> np.ndarray:
        own = [r for r in self.records if r["method"] == method and r["seed"] in seeds]
        kept = [self.arrays(cell_of(record))["forget"] for record in own]
        return np.stack(kept).astype(np.float64)


def figure(entry: Record, name: str) -> Record:
    return next(finding for finding in entry["findings"] if finding["name"] == name)


def test_every_row_has_the_ensemble_audits_and_the_oracles_theirs() -> None:
    cells = Cells()
    found = cells.audited(ensemble=True)
    assert list(found) == [NOTHING, "keen", ORACLE]
    for entry in found.values():
        assert entry["missing"] == []
        assert figure(entry, "U-LiRA TPR")["interval"] is None  # fewer than 100 strangers
        for name in ("U-LiRA AUC", "KLoM 50 %", "KLoM r 50 %", "forgetting score"):
            low, high = figure(entry, name)["interval"]
            assert low <= figure(entry, name)["value"] <= high
    assert figure(found[NOTHING], "U-LiRA AUC")["interval"][0] > 0.7
    for name in ("keen", ORACLE):
        low, high = figure(found[name], "U-LiRA AUC")["interval"]
        assert low < 0.5 < high


def test_models_are_of_one_method_seed_and_oracles_are_halved() -> None:
    cells = Cells()
    found = cells.audited(ensemble=True)
    retrained = cells.margins(ORACLE, list(range(10, 26)))
    keen = cells.margins("keen", [0])
    expected = {
        "keen": unlearning_lira(keen, retrained),
        ORACLE: unlearning_lira(retrained[:8], retrained[8:]),
    }
    for method, attack in expected.items():
        assert figure(found[method], "U-LiRA AUC")["value"] == pytest.approx(attack.auc)
    calibrated = klom_findings("f", retrained, retrained)[0]
    assert figure(found[ORACLE], "KLoM 50 %")["value"] == pytest.approx(calibrated.value)
    assert figure(found["keen"], "KLoM 50 %")["reference"] == pytest.approx(calibrated.value)


def test_what_few_oracles_cannot_answer_is_said() -> None:
    found = Cells(oracles=4, networks=4).audited(ensemble=True)
    names = [[finding["name"] for finding in found[m]["findings"]] for m in ("keen", ORACLE)]
    assert names == [["U-LiRA AUC", "U-LiRA TPR", "forgetting score"], []]
    assert any("3 models" in reason for reason in found[ORACLE]["missing"])
    for entry in found.values():
        assert len([reason for reason in entry["missing"] if "KLoM of 2" in reason]) == 1


def test_klom_is_asked_only_of_as_many_models_as_tell_near_from_far() -> None:
    found = Cells().audited(ensemble=True)
    for name in ("KLoM 50 %", "KLoM 95 %"):
        forgot, kept, oracle = (figure(found[m], name) for m in ("keen", NOTHING, ORACLE))
        assert kept["interval"][0] > oracle["interval"][1]
        assert forgot["interval"][0] <= oracle["interval"][1]
    for few in (Cells(oracles=14), Cells(networks=7)):
        entry = few.audited(ensemble=True)["keen"]
        assert not [f for f in entry["findings"] if f["name"].startswith("KLoM")]
        assert any("KLoM of 7 models" in reason for reason in entry["missing"])


def test_relearning_is_set_against_the_oracles_curves() -> None:
    found = Cells().audited(relearning=4)
    assert figure(found["keen"], "relearning retain")["value"] == pytest.approx(0.2)
    assert figure(found[NOTHING], "relearning retain")["value"] == pytest.approx(0.45)
    assert figure(found["keen"], "recovery retain")["value"] == pytest.approx(4.0)
    assert figure(found[ORACLE], "relearning retain")["value"] == pytest.approx(0.0)
    assert figure(found[NOTHING], "recovery retain")["value"] == 0.0


def test_figures_reach_the_lines_of_the_tables() -> None:
    cells = Cells()
    audited = cells.audited(ensemble=True).items()
    entries = [{"erasure": "tenth", "method": method, **found} for method, found in audited]
    lines = lines_of({"cells": cells.records, "ensembles": entries})
    assert {"U-LiRA AUC", "KLoM 50 %", "forgetting score"} <= set(lines[0].figures)


def test_failed_cells_are_left_out_and_nothing_asked_is_nothing_found() -> None:
    cells = Cells()
    assert all(e == {"findings": [], "missing": []} for e in cells.audited().values())
    cells.records = [{**r, "failed": "gone"} if r["method"] == "keen" else r for r in cells.records]
    assert "keen" not in cells.audited(ensemble=True)


def test_membership_names_its_figures_and_sets_oracles_beside_them() -> None:
    model, before = memorisers()[:2]
    findings, (false, true) = membership(model, list(oracles()[:3]), before)
    named = {finding.name: finding for finding in findings}
    assert list(named) == [
        f"{attack} {rate}"
        for attack in ("RMIA", "both models", "both models, no label")
        for rate in ("AUC", "TPR")
    ]
    found = named["RMIA AUC"]
    assert found.interval is not None
    assert found.reference is not None
    assert found.interval[0] > 0.7 > found.reference
    assert abs(found.reference - 0.5) < 0.1
    assert (false[-1], true[-1]) == (1.0, 1.0)
    assert len(false) == len(true) <= 200


def test_one_oracle_is_a_reference_model_but_has_none_of_its_own() -> None:
    findings, _ = membership(memorisers()[0], [oracles()[0]], memorisers()[1])
    assert findings[0].reference is None
    assert findings[2].reference is not None
