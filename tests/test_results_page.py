"""The pages of results: made from the files alone; their tables, and that small forms run."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.scripts import loaded

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FOLDER = ROOT / "benchmarks" / "quality"
FIGURES = ("Rf", "Rr", "Rt", "G accuracy", "G loss")
SAID = {"curenu": "0", "torch": "2"}


@pytest.fixture(scope="module")
def pages() -> Iterator[ModuleType]:
    """The package of the pages, which the script beside it finds because it is beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("results_page")


@pytest.fixture(scope="module")
def made(pages: ModuleType) -> dict[str, str]:
    """What the repository's results make, by place in `docs`."""
    return pages.files(FOLDER / "results")


def of(pages: ModuleType, folder: Path, results: dict[str, Any], remarks: str = "") -> str:
    """The page of these results."""
    (folder / "a.json").write_text(json.dumps(results))
    (folder / "a.md").write_text(remarks)
    return pages.files(folder)["results/a.md"]


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


def test_the_defaults_stand_out_from_the_sweep_around_them(
    pages: ModuleType, tmp_path: Path
) -> None:
    text = of(pages, tmp_path, sweep())
    assert "Defaults of the run: sample size 8, steps 7." in text
    means = "| 1.10 " * 6 + "| – |"
    assert lines_of(text, "**defaults**") == ["| **defaults** " + means]
    assert lines_of(text, "sample size 4") == [f"| sample size 4 {means}".replace("1.10", "1.50")]
    assert lines_of(text, "lowest") == ["| lowest to highest " + "| 1.10 to 1.50 " * 6 + "| – |"]
    assert "made before weighted examples were counted" in text


def test_an_interval_is_over_networks_and_not_over_their_seeds(
    pages: ModuleType, tmp_path: Path
) -> None:
    """Two seeds on each of two networks: means 1 and 3, half of the interval 12.71."""
    results = sweep()
    values = ((0, 0.5), (0, 1.5), (1, 2.0), (1, 4.0))
    point = results["defaults"]
    results["sweep"] = [row(v, erasure="e", point=point, trained=n) for n, v in values]
    (line,) = lines_of(of(pages, tmp_path, results), "**defaults**")
    assert line.startswith("| **defaults** | 2.00 ± 12.71 |")


def test_a_figure_that_no_run_has_is_a_dash(pages: ModuleType, tmp_path: Path) -> None:
    results = sweep()
    results["rows"] = [row(None, erasure="e")]
    text = of(pages, tmp_path, results)
    assert lines_of(text, "do nothing") == ["| do nothing " + "| – " * 7 + "|"]


def test_a_sequence_stands_beside_the_erasure_at_once(pages: ModuleType, tmp_path: Path) -> None:
    text = of(pages, tmp_path, sequences(advice=["COST"]), "A remark.")
    assert "A remark." in text
    (line,) = lines_of(text, "5 requests")
    assert line.startswith("| 5 requests | last | 1.07 (+0.02) |")
    assert line.endswith("| 0.25 | COST |")
    (once,) = lines_of(text, "at once")
    assert once.startswith("| at once |  | 1.05 |")


def test_files_make_the_page_of_what_they_hold(
    pages: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(sweep()))
    (tmp_path / "b.json").write_text(json.dumps(sequences(advice=[])))
    (tmp_path / "c.json").write_text("{}")
    found = pages.files(tmp_path)
    assert found["results/a.md"].startswith("# Around the defaults")
    assert found["results/b.csv"].startswith("row,erasure,seed,figure,value\n")
    assert "results/c.md" not in found
    assert "c.json" in capsys.readouterr().err


def test_the_pages_are_what_the_results_say(made: dict[str, str]) -> None:
    for name, text in made.items():
        if not name.endswith(".svg"):  # its layout is the drawing library's
            assert (DOCS / name).read_text() == text, f"{name} is old: run `make results`"
    kept = {f"results/{path.name}" for path in (DOCS / "results").iterdir()}
    assert kept == set(made) - {"results.md"}


def test_the_picture_has_a_line_for_every_row_of_the_headline(made: dict[str, str]) -> None:
    drawn = (DOCS / "results/headline.svg").read_text()
    start = r"^\| \[([\w-]+)\]\(results/[\w-]+\.md\) \| ([^|]+) \|"
    rows = re.findall(start, made["results.md"], re.M)
    assert len(rows) > 20
    for task, erasure in rows:
        assert f"{task}, {erasure}" in drawn
        assert f"{task}, {erasure}" in made["results/headline.svg"]
    assert "var(" not in drawn


def test_no_file_of_results_changes_without_the_page() -> None:
    front = (DOCS / "results.md").read_text()
    files = sorted((FOLDER / "results").glob("*.json"))
    assert len(files) > 15
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (line,) = [line for line in front.splitlines() if f"| {path.name} |" in line]
        assert line.endswith(f"| `{digest[:16]}` |"), f"{path.name} changed: run `make results`"
        page = DOCS / "results" / f"{path.stem}.md"
        assert not page.is_file() or digest in page.read_text()


def test_every_page_is_in_the_navigation(made: dict[str, str]) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r": (results/[\w-]+\.md)$", navigation, re.M))
    assert listed == {name for name in made if re.fullmatch(r"results/.+\.md", name)}


def test_links_between_the_pages_lead_to_files(made: dict[str, str]) -> None:
    for name, text in made.items():
        if name.endswith(".md"):
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
                assert ((DOCS / name).parent / link).is_file(), (name, link)


def test_what_is_older_than_the_present_defaults_is_named(
    pages: ModuleType, tmp_path: Path
) -> None:
    source = importlib.import_module("results_page.source")
    present = source.present_settings({"method": "stocurenu"})
    fresh = {**sweep(), "date": "2026-01-02", "commit": "abc", "settings": {"stocurenu": present}}
    text = of(pages, tmp_path, fresh)
    assert "Made on 2026-01-02 at commit abc." in text
    assert "Older than" not in text
    changed = {"stocurenu": {**present, "max_steps": "70"}}
    assert "**Older than the present defaults**: settings of stocurenu" in of(
        pages, tmp_path, {**fresh, "settings": changed}
    )
    text = of(pages, tmp_path, {**fresh, "settings": {"a-method-that-went": {}}})
    assert "**Older than the present defaults**: settings of a-method" in text
    assert "**Older than" in of(pages, tmp_path, sweep())


def benchmark(*values: tuple[str, int, float]) -> dict[str, Any]:
    """Rf of methods on networks, for the headline."""
    cells = [
        {"erasure": "tenth", "method": method, "trained": network, "seed": 0, "arguments": {"x": 1},
         "findings": [{"name": "Rf", "value": value, "interval": None}]}
        for method, network, value in values
    ]  # fmt: skip
    tenth = {"name": "tenth", "kind": "random", "classes": [], "rounds": 1, "share": 0.1}
    methods = [{"method": "stocurenu"}, {"method": "rival", "grid": {"x": [1, 2]}}]
    return {"config": {"erasures": [tenth], "methods": methods, "task": {"name": "t"}},
            "cells": cells, "ensembles": []}  # fmt: skip


@pytest.mark.parametrize(
    ("nothing", "default", "rival", "harmed", "beaten"),
    [(3.0, 2.0, 1.0, False, True), (1.0, 2.0, 3.0, True, False), (0.5, 0.9, 0.2, False, False)],
)
def test_the_first_paragraph_says_where_others_are_nearer(
    pages: ModuleType, tmp_path: Path, nothing: float, default: float, rival: float,
    harmed: bool, beaten: bool,
) -> None:  # fmt: skip
    headline = importlib.import_module("results_page.headline")
    source = importlib.import_module("results_page.source")
    found = {"do nothing": nothing, "stocurenu": default, "rival": rival}
    cells = [(m, network, v + 0.01 * network) for m, v in found.items() for network in (0, 1)]
    (tmp_path / "a.json").write_text(json.dumps(benchmark(*cells)))
    rows = headline.entries(source.sources(tmp_path))
    assert [(row.harmed, row.beaten) for row in rows] == [(harmed, beaten)]
    opening = headline.sentences(rows).splitlines()[0]
    assert ("1 (t, tenth) ended further" in opening) == harmed
    assert ("In 1 (t, tenth: `rival`) a tuned rival" in opening) == beaten


def run(script: str, out: Path, cache: Path | None) -> dict[str, Any]:
    places = ("--out", str(out), *(("--cache", str(cache)) if cache else ()))
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), "--smoke", *places],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_sweep_and_sequences_are_made_and_shown(pages: ModuleType, tmp_path: Path) -> None:
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
    found = pages.files(tmp_path)
    assert "| older: " not in found["results.md"]
    (once,) = lines_of(found["results/b.md"], "at once")
    assert float(once.split("|")[9]) > 0  # weighted examples


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
