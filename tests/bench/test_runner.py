"""The runner: nothing made twice, failures kept apart, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from curenu.bench import Config, csv_table, lines_of, load_config, markdown, page, report, run
from curenu.bench.network import Networks
from curenu.errors import BadRequest, MissingData, RunBroken
from curenu.evaluation import split_of
from curenu.tasks import load_task

TEXT = """
title = "small"
about = "a test"
duration = "seconds"
trained = [0, 1]
oracles = [10, 11]
tuning_budget = 2

[task]
name = "{task}"

[audits]
relearning = 4

[[erasures]]
name = "tenth"
kind = "random"
share = 0.1

[[erasures]]
name = "two rounds"
kind = "classes"
classes = [3, 8]
share = 1.0
rounds = 2

[[methods]]
method = "fine-tune"
arguments = {{ epochs = 1 }}
grid = {{ learning_rate = [0.001, 0.01] }}

[[methods]]
method = "fine-tune"
label = "wild"
arguments = {{ epochs = 1, learning_rate = 1e8 }}
"""

SMALL = """
import dataclasses
from curenu.tasks import Recipe, Task, load_task

def digits():
    return dataclasses.replace(load_task("digits"), recipe=Recipe(3, 64, 0.1))
"""

DEADLY = """
import os, multiprocessing

def fatal(make):
    def made():
        task = make()
        class Dying(type(task)):
            def train_model(self, seed, **options):
                if seed == 11 and multiprocessing.parent_process():
                    os._exit(9)
                return super().train_model(seed, **options)
        fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
        return Dying(**fields)
    return made

digits = fatal(digits)
"""


def config(folder: Path) -> Config:
    (folder / "small.py").write_text(SMALL)
    (folder / "small.toml").write_text(TEXT.format(task=f"{folder / 'small.py'}:digits"))
    return load_config(str(folder / "small.toml"))[1]


@contextmanager
def quiet(_: str) -> Any:
    yield lambda done, total: None


class Stages:
    """Counts the units of every stage that were really run."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}

    @contextmanager
    def __call__(self, text: str) -> Any:
        def progress(done: int, _: int) -> None:
            self.told[text] = done

        yield progress


def made(folder: Path, **options: Any) -> dict[str, Any]:
    arguments = {"jobs": 1, "stage": quiet} | options
    return run(config(folder), "small", folder / "out", folder / "nets", **arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bench")
    return folder, made(folder)


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
    assert lines["tenth", "fine-tune (epochs 1)"].figures["Rf"].count == 2


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


def test_another_configuration_in_the_folder_is_refused(finished: Any) -> None:
    folder, _ = finished
    changed = config(folder).model_copy(update={"tuning_budget": 5})
    before = sorted(path.name for path in (folder / "out").rglob("*"))
    with pytest.raises(RunBroken, match="another configuration"):
        run(changed, "small", folder / "out", folder / "nets", jobs=1, stage=quiet)
    assert sorted(path.name for path in (folder / "out").rglob("*")) == before


def test_other_words_for_the_same_benchmark_lose_nothing(finished: Any) -> None:
    folder, _ = finished
    changed = config(folder).model_copy(update={"title": "other", "about": "words"})
    stages = Stages()
    run(changed, "small", folder / "out", folder / "nets", jobs=1, stage=stages)
    assert stages.told == {"erasing and auditing": 4}  # those that fail, again


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(RunBroken, match="not empty"):
        made(tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_missing_data_and_wrong_requests_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURENU_FASHION_MNIST", str(tmp_path / "nowhere"))
    (tmp_path / "c.toml").write_text(TEXT.format(task="fashion-mnist"))
    chosen = load_config(str(tmp_path / "c.toml"))[1]
    with pytest.raises(MissingData):
        run(chosen, "c", tmp_path / "out", tmp_path / "nets", jobs=1, stage=quiet)
    (tmp_path / "d.toml").write_text(TEXT.format(task="digits").replace("[3, 8]", "[3, 80]"))
    chosen = load_config(str(tmp_path / "d.toml"))[1]
    with pytest.raises(BadRequest, match="80"):
        run(chosen, "d", tmp_path / "out", tmp_path / "nets", jobs=1, stage=quiet)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "nets").exists()


def test_a_full_disk_ends_the_run_and_leaves_whole_files(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    written = 0

    def full(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr("curenu.bench.archive.replace_file", full)
    with pytest.raises(RunBroken, match="No space left"):
        run(config(folder), "small", tmp_path / "out", folder / "nets", jobs=1, stage=quiet)
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(kept) == 4
    for path in kept:
        if path.suffix == ".json":
            json.loads(path.read_text())


def test_a_network_of_another_configuration_or_damaged_is_refused(tmp_path: Path) -> None:
    networks, ids = Networks(tmp_path, load_task("digits")), list(range(64))
    networks.train(0, ids)
    (path,) = tmp_path.iterdir()
    kept = safetensors.torch.load_file(path)
    assert networks.load(0, ids).seconds > 0
    safetensors.torch.save_file(kept, path, metadata={"configuration": "{}", "seconds": "1"})
    with pytest.raises(RunBroken, match="another configuration"):
        networks.load(0, ids)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunBroken, match="damaged"):
        networks.load(0, ids)


def test_kept_outputs_are_those_of_the_network_and_are_refused_when_damaged(
    tmp_path: Path,
) -> None:
    task, ids = load_task("digits"), list(range(64))
    networks = Networks(tmp_path, task)
    networks.train(0, ids)
    first = networks.outputs(0, ids, [3, 1])
    again = networks.outputs(0, ids, [1, 3])
    fresh = split_of(task, [1, 3], [i for i in range(1437) if i not in (1, 3)],
                     networks.load(0, ids).model)  # fmt: skip
    for letter in "frt":
        assert torch.equal(again.parts[letter].logits, fresh.parts[letter].logits)
        assert torch.equal(first.parts[letter].targets, fresh.parts[letter].targets)
    (path,) = (tmp_path / "outputs").iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RunBroken, match="damaged"):
        networks.outputs(0, ids, [1, 3])


def test_a_task_whose_file_changed_has_other_networks(tmp_path: Path) -> None:
    task = load_task("digits")
    keys = {Networks(tmp_path, task, source).key(0, [1, 2]) for source in ("", "a", "b")}
    assert len(keys) == 3


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
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
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
