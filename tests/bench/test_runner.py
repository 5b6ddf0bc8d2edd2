"""The runner: nothing made twice, failures kept apart, figures as they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from curenu.bench import csv_table, lines_of, load_config, markdown, page, report, run
from curenu.bench.stationary import stationarity_findings
from curenu.cli import app
from curenu.errors import RunBroken
from curenu.runs.run import objective_of
from curenu.tasks import load_task
from tests.bench.small import DEADLY, SMALL, Stages, config, made, quiet


def test_every_cell_is_there_and_failures_say_why(finished: Any) -> None:
    _, results = finished
    lines = {(line.erasure, line.method): line for line in lines_of(results)}
    names = ["do nothing", "oracle (retrained)", "fine-tune (epochs 1)", "wild"]
    assert list(lines) == [(e, m) for e in ("tenth", "two rounds") for m in names]
    wild = lines["tenth", "wild"]
    assert len(wild.failed) == 2
    assert "learning_rate" in wild.failed[0]
    assert lines["tenth", "do nothing"].figures["G loss"].mean == 0.0
    oracle = lines["tenth", "oracle (retrained)"].figures
    assert oracle["Rf"].mean == pytest.approx(1.0)
    assert oracle["ratio"].mean == 1.0
    tuned = lines["tenth", "fine-tune (epochs 1)"].figures
    assert tuned["Rf"].count == 2
    assert {"|∇F|", "lambda_min", "relearning retain"} <= set(tuned)


def test_the_better_grid_point_is_used_for_the_cells(finished: Any) -> None:
    _, results = finished
    (tuned, _) = results["tuning"]
    best = min(tuned["trials"], key=lambda trial: trial["score"])
    assert tuned["arguments"] == best["arguments"]
    used = [c["arguments"] for c in results["cells"] if c["method"] == "fine-tune (epochs 1)"]
    assert used[0] == tuned["arguments"]


def test_a_sequence_has_its_rounds_and_the_union_beside_it(finished: Any) -> None:
    _, results = finished
    cell = next(c for c in results["cells"] if "rounds" in c)
    assert [entry["round"] for entry in cell["rounds"]] == [1, 2]
    last = {f["name"]: f["value"] for f in cell["rounds"][-1]["findings"]}
    whole = {f["name"]: f["value"] for f in cell["findings"]}
    assert last["Rf"] == pytest.approx(whole["Rf"])
    assert cell["at once"]["drift"] > 0


def test_a_second_run_does_only_what_failed(finished: Any) -> None:
    folder, results = finished
    stages = Stages()
    again = made(folder, stage=stages)
    assert stages.told == {"erasing and auditing": 4}
    same = [c for c in results["cells"] if "failed" not in c]
    assert same == [c for c in again["cells"] if "failed" not in c]


@pytest.mark.slow
def test_processes_give_the_same_figures(finished: Any, tmp_path: Path) -> None:
    folder, results = finished
    other = run(config(folder), "small", tmp_path / "out", folder / "nets", jobs=2, stage=quiet)

    def figures(found: dict[str, Any]) -> dict[Any, float]:
        return {
            (line.erasure, line.method, name): figure.mean
            for line in lines_of(found)
            for name, figure in line.figures.items()
            if name not in ("ratio", "seconds")
        }

    assert figures(other) == pytest.approx(figures(results), rel=1e-6, abs=1e-9)


def test_the_command_ends_with_1_when_all_cells_of_a_method_failed(finished: Any) -> None:
    folder, _ = finished
    places = ["--out", str(folder / "out"), "--cache", str(folder / "nets")]
    (folder / "out" / "report.html").unlink(missing_ok=True)
    done = CliRunner().invoke(app, ["bench", str(folder / "small.toml"), *places])
    assert done.exit_code == 1
    assert "all cells failed: wild on tenth" in done.stderr
    assert "wild</b> failed" in (folder / "out" / "report.html").read_text()


def test_cells_of_a_network_that_could_not_be_trained_say_so(tmp_path: Path) -> None:
    changed = config(tmp_path)
    wild = SMALL.replace("0.1", "1e30")
    (tmp_path / "small.py").write_text(wild)
    results = run(changed, "small", tmp_path / "o", tmp_path / "n", jobs=1, stage=quiet)
    assert results["untrained"]
    assert all("was not trained" in cell["failed"] for cell in results["cells"])
    assert markdown(results).count("was not trained") == 8


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    config(tmp_path)
    command = [sys.executable, "-c", "from curenu.cli import main; main()", "bench", "small.toml"]
    command += ["--out", "out", "--cache", "nets", "--jobs", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    while len(list((tmp_path / "out" / "cells").glob("*.json"))) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/cells/*.json")}
    good = [path for path in kept if "failed" not in json.loads(path.read_text())]
    assert good
    networks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("nets/**/*.*")}
    again = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert again.returncode == 1  # "wild" fails as it should
    assert {path: path.stat().st_mtime_ns for path in good} == {p: kept[p] for p in good}
    assert {path: path.stat().st_mtime_ns for path in networks} == networks
    cells = json.loads((tmp_path / "out" / "results.json").read_text())["cells"]
    assert len(cells) == 2 * (2 + 2 + 2 * 2)
    assert not list(tmp_path.glob("**/*.partial"))


@pytest.mark.slow
def test_a_dying_worker_ends_the_run_with_what_to_do_and_keeps_the_rest(tmp_path: Path) -> None:
    config(tmp_path)
    text = SMALL + DEADLY
    (tmp_path / "small.py").write_text(text)
    chosen = load_config(str(tmp_path / "small.toml"))[1]
    with pytest.raises(RunBroken, match="worker process died") as caught:
        run(chosen, "small", tmp_path / "out", tmp_path / "nets", jobs=2, stage=quiet)
    assert "--jobs" in caught.value.remedy
    assert list((tmp_path / "nets").glob("*.safetensors"))


def test_the_report_holds_every_method_and_the_reason_of_failures(finished: Any) -> None:
    folder, results = finished
    report(results, folder / "out")
    html = (folder / "out" / "report.html").read_text()
    assert html == page(results)
    assert html.count("<svg") >= 8
    assert "<b>wild</b> failed" in html
    text = markdown(results)
    assert "| do nothing |" in text
    assert "- wild failed: IllPosed" in text
    rows = csv_table(results).splitlines()
    assert rows[0] == "erasure,method,figure,mean,low,high,count"
    assert any(row.startswith("tenth,do nothing,Rf,") for row in rows)


def test_stationarity_is_the_gradient_and_the_lowest_eigenvalue_of_what_stays() -> None:
    task, retain = load_task("digits"), list(range(40, 1437))
    risk = objective_of(task, task.initialise(0), None)
    found = {f.name: f for f in stationarity_findings(risk, retain)}
    kept = risk.subset(retain)
    assert found["|∇F|"].value == pytest.approx(float(kept.gradient(risk.start).norm()), rel=1e-4)
    vector = torch.randn(risk.dimension, generator=torch.Generator().manual_seed(0))
    vector /= vector.norm()
    bound = float(vector @ (kept.linearise(risk.start) @ vector))
    assert found["lambda_min"].value < bound
    assert found["lambda_min"].value < 0  # a network that was never trained
    assert found["eps"].value >= found["|∇F|"].value


def test_intervals_are_students(finished: Any) -> None:
    _, results = finished
    values = [
        float(f["value"])
        for c in results["cells"]
        if (c["erasure"], c["method"]) == ("tenth", "do nothing")
        for f in c["findings"]
        if f["name"] == "Rf"
    ]
    line = lines_of(results)[0]
    low, high = line.figures["Rf"].interval or (0, 0)
    assert high - low == pytest.approx(2 * 12.7062 * np.std(values, ddof=1) / np.sqrt(2), rel=1e-4)
