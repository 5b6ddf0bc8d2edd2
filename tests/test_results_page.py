"""The page of results: what the sweep and the sequences say, and that their small forms run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.scripts import loaded

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "quality"
FIGURES = ("Rf", "Rr", "Rt", "G accuracy", "G loss")
SAID = {"curenu": "0", "torch": "2"}


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return loaded(FOLDER / "page.py")


def row(value: float | None, **others: Any) -> dict[str, Any]:
    """All figures the same; none of them for None."""
    found = [] if value is None else [{"name": name, "value": value} for name in FIGURES]
    return {"name": "do nothing", "findings": found, "examples ratio": value, **others}


def context(**others: Any) -> dict[str, Any]:
    said = {"task": "t", "trained": [0], "oracles": [1, 2], "seeds": [0, 1], **others}
    return {**SAID, "context": said}


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {start}")]


def sweep() -> dict[str, Any]:
    usual, other = {"sample_size": 8, "max_steps": 7}, {"sample_size": 4, "max_steps": 7}
    rows = [(usual, 1.0), (usual, 1.2), (other, 1.5), (other, 1.5)]
    return context() | {
        "defaults": usual,
        "rows": [row(0.0, erasure="e")],
        "sweep": [row(value, erasure="e", point=point) for point, value in rows],
    }


def sequences(*, advice: list[str]) -> dict[str, Any]:
    def asked(check: dict[str, float] | None) -> list[dict[str, Any]]:
        return [{"drift": {"check": check, "advice": advice}}]

    apart = dict.fromkeys(FIGURES, 0.02)
    check = {"divergence": 1.0, "first_divergence": 4.0}
    about = {"rounds": 5, "anchor": "last", "difference": apart}
    return context(erasure="e") | {
        "rows": [row(0.0)],
        "at once": [row(1.0, requests=asked(None)), row(1.1, requests=asked(None))],
        "sequences": [row(v, **about, requests=asked(check)) for v in (1.02, 1.12)],
    }


def test_the_defaults_stand_out_from_the_sweep_around_them(page: ModuleType) -> None:
    text = page.around("plateau-t", sweep(), "")
    assert "Defaults: sample size 8, steps 7." in text
    assert lines_of(text, "**defaults**") == ["| **defaults** " + "| 1.10 ± 0.10 " * 6 + "|"]
    assert lines_of(text, "sample size 4") == ["| sample size 4 " + "| 1.50 ± 0.00 " * 6 + "|"]
    assert lines_of(text, "lowest") == ["| lowest to highest " + "| 1.10 to 1.50 " * 6 + "|"]


def test_a_figure_that_no_run_has_is_a_dash(page: ModuleType) -> None:
    results = sweep()
    results["rows"] = [row(None, erasure="e")]
    text = page.around("plateau-t", results, "")
    assert lines_of(text, "do nothing") == ["| do nothing " + "| – " * 6 + "|"]


def test_a_sequence_stands_beside_the_erasure_at_once(page: ModuleType) -> None:
    text = page.sequences("sequence-t", sequences(advice=["COST"]), "A remark.")
    assert "A remark." in text
    (line,) = lines_of(text, "5 requests")
    assert line.startswith("| 5 requests | last | 1.07 ± 0.05 (+0.02) |")
    assert line.endswith("| 0.25 | COST |")
    (once,) = lines_of(text, "at once")
    assert once.startswith("| at once |  | 1.05 ± 0.05 |")


def test_files_make_the_section_of_what_they_hold(
    page: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(sweep()))
    (tmp_path / "b.json").write_text(json.dumps(sequences(advice=[])))
    (tmp_path / "c.json").write_text("{}")
    text = page.text(tmp_path)
    assert text.index("## Around the defaults") < text.index("## Sequences")
    assert "c.json" in capsys.readouterr().err


def run(script: str, out: Path, cache: Path | None) -> dict[str, Any]:
    places = ("--out", str(out), *(("--cache", str(cache)) if cache else ()))
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), "--smoke", *places],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_sweep_and_sequences_are_made_and_shown(page: ModuleType, tmp_path: Path) -> None:
    swept = run("plateau.py", tmp_path / "a.json", tmp_path / "networks")
    asked = run("sequence.py", tmp_path / "b.json", tmp_path / "networks")
    (once,) = asked["at once"]
    figures = {finding["name"]: finding["value"] for finding in once["findings"]}
    shares = {row["point"]["penalty share"] for row in swept["sweep"]}
    norms = [row["update_norm"] for row in swept["sweep"] if row["erasure"] == "random 10 %"]
    assert len(shares) == 2
    assert len(set(norms)) == len(norms)
    assert [entry["anchor"] for entry in asked["sequences"]] == ["last", "first"]
    # G of accuracy is absent where the oracles answer as the first model does: no gap to close
    assert set(figures) >= {"Rf", "Rr", "Rt", "G loss"}
    both = set(FIGURES) & set(figures)
    assert all(both == set(entry["difference"]) for entry in asked["sequences"])
    assert all(request["drift"] for entry in asked["sequences"] for request in entry["requests"])
    assert "## Sequences" in page.text(tmp_path)


@pytest.mark.slow
def test_the_claims_are_measured_and_their_page_names_best_and_worst(tmp_path: Path) -> None:
    found = run("claims.py", tmp_path / "claims-digits.json", tmp_path / "networks")
    lengths = {
        row["setting"]: row["move"]
        for row in found["claims"]
        if row["family"] == "damped-newton, damping"
    }
    assert lengths[1e-3] > 3 * lengths[1.0]
    text = loaded(FOLDER / "claims_page.py").page(found)
    assert "- damped-newton, damping: " in text
    assert "| 60,000 | 2,410 |" in text


def test_claims_say_which_setting_was_best_and_do_not_print_what_is_beyond_measure() -> None:
    claims = loaded(FOLDER / "claims_page.py")

    def entry(setting: float, value: float) -> dict[str, Any]:
        family = "damped-newton, damping"
        findings = [{"name": name, "value": value} for name in ("Rf", "Rr", "Rt", "G loss")]
        return {"erasure": "e", "family": family, "setting": setting, "move": 0.5,
                "examples ratio": 1.0, "findings": findings}  # fmt: skip

    found = [entry(0.1, 1.5), entry(1e-3, 400.0)]
    assert claims._mean(found[1:], "Rf") == "≫ 100"
    assert claims._mean(found[:1], "Rf") == "1.50"
    assert claims._mean([entry(0.1, 1.0), entry(0.1, 3.0)], "Rt") == "2.00 ± 1.00"


@pytest.mark.slow
def test_malicious_requests_are_measured_with_and_without_the_screen(tmp_path: Path) -> None:
    found = run("attacks.py", tmp_path / "attacks-digits.json", None)
    flagged = {row["request"]: row["flagged"] for row in found["single"]}
    assert "membership" in flagged["perturbed inputs"]
    assert "predicted change" in flagged["the most harmful members"]
    assert not flagged["random members"]
    assert not flagged["the most harmful that pass"]
    sliced = found["sessions"][0]
    assert 0 < sliced["granted"] < 10
    assert sliced["screened"]["loss"] < sliced["open"]["loss"]


def test_the_page_of_attacks_has_means_over_networks_and_counts() -> None:
    attacks = loaded(FOLDER / "attacks_page.py")
    rows = [
        {"request": "r", "method": "m", "flagged": flagged, "loss": loss, "accuracy": 0.01}
        for flagged, loss in (([], 0.01), (["membership"], 0.03))
    ]
    assert "| r | m | 0.0200 ± 0.0100 | 1.0 ± 0.0 | 1 of 2 |" in attacks._single(rows)
    ends = {"open": rows[1], "screened": rows[0]}
    sessions = attacks._sessions([{"session": "s", "granted": 4, **ends}])
    assert "| s | 0.0300 ± 0.0000 | 1.0 ± 0.0 | 4 | 0.0100 ± 0.0000 | 1.0 ± 0.0 |" in sessions
    assert attacks._mean([-0.02, -0.02], 2) == "−0.02 ± 0.00"
