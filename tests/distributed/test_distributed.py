"""Two processes compute what one does, bit for bit the same in both, or end with an error."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from curenu.runs.folder_store import FolderStore
from curenu.runs.session import Session
from curenu.runs.verify import verify
from tests.distributed import cases
from tests.distributed.processes import ROOT, free_port, run
from tests.runs.runs import state_of


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """What each of two processes found, and the folder of the run they made."""
    folder = tmp_path_factory.mktemp("two")
    ended = run("everything", folder, seconds=200)
    for process in ended:
        assert process.code == 0, process.stderr
    return folder, [process.result for process in ended]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same run made by this process alone, and its folder."""
    folder = tmp_path_factory.mktemp("one")
    return folder, cases.session(folder)


def close(found: dict[str, Tensor], wanted: dict[str, Tensor], relative: float) -> None:
    """Each tensor within `relative` of its own length; values also of the losses they differ in.

    The anchored value is a difference of losses of about 1: its rounding is theirs, not its own.
    """
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        gap = (found[name].double() - tensor.double()).norm()
        scale = max(float(tensor.double().norm()), 0.1 if name.endswith("value") else 0.0)
        assert gap <= relative * scale, name


@pytest.mark.parametrize(("case", "relative"), [("objectives", 1e-12), ("objectives32", 1e-6)])
def test_values_gradients_products_and_metric_are_those_of_one_process(
    two: tuple[Path, list[Any]], case: str, relative: float
) -> None:
    first, second = (found[case] for found in two[1])
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    close(first, getattr(cases, case)(), relative)


@pytest.mark.slow
def test_three_processes_with_one_example_do_too(tmp_path: Path) -> None:
    ended = run("small", tmp_path, count=3)
    wanted = cases.small()
    for process in ended:
        assert process.code == 0, process.stderr
        close(process.result, wanted, 1e-12)


def test_erasures_take_the_same_steps_as_one_process(two: tuple[Path, list[Any]]) -> None:
    first, second = (found["erasure"] for found in two[1])
    for name, (theta, cost, trace, certificate) in cases.erasure().items():
        assert torch.equal(first[name][0], second[name][0])
        assert first[name][2] == second[name][2]
        moved = (first[name][0] - theta).norm()
        assert moved <= 1e-9 * theta.norm()
        assert len(first[name][2]) == len(trace)
        assert (first[name][1].gradients, first[name][1].hvps) == (cost.gradients, cost.hvps)
        assert cost.examples <= first[name][1].examples <= 1.1 * cost.examples
        assert first[name][3].lambda_min == pytest.approx(certificate.lambda_min, rel=1e-6)


def test_examples_are_counted_over_all_processes(two: tuple[Path, list[Any]]) -> None:
    wanted = cases.counts()["cost"]
    for found in (each["counts"] for each in two[1]):
        cost = found["cost"]
        assert (cost.examples, cost.gradients, cost.hvps) == (
            wanted.examples,
            wanted.gradients,
            wanted.hvps,
        )


def test_the_first_process_chooses_the_micro_batch_size(two: tuple[Path, list[Any]]) -> None:
    assert [found["timed"]["size"] for found in two[1]] == [128, 128]  # of a share of 151


def test_processes_with_other_data_or_another_seed_are_refused(
    two: tuple[Path, list[Any]],
) -> None:
    for found in (each["differing"] for each in two[1]):
        assert "seed (process 1)" in found["seed"]
        assert "retained examples (process 1)" in found["examples"]


def test_lanczos_on_vectors_in_pieces_gives_the_same_matrix_and_step(
    two: tuple[Path, list[Any]],
) -> None:
    for found in (each["lanczos"] for each in two[1]):
        close(found, cases.lanczos(), 1e-9)


def test_lanczos_on_parameters_sharded_by_fsdp_gives_the_same_matrix(
    two: tuple[Path, list[Any]],
) -> None:
    for found in (each["fsdp"] for each in two[1]):
        close(found, cases.fsdp(), 1e-9)


def test_the_first_process_alone_writes_and_all_have_the_same_run(
    two: tuple[Path, list[Any]], one: tuple[Path, dict[str, Any]]
) -> None:
    folder, (first, second) = two[0], [found["session"] for found in two[1]]
    assert first["record"].after == second["record"].after
    kept = Session.open(folder / "run")
    assert [record.after for record in kept.records] == [first["record"].after]
    assert {path.stem for path in (folder / "run" / "weights").iterdir()} == {
        kept.description.start,
        first["record"].after,
    }
    for name, tensor in one[1]["state"].items():
        gap = (first["state"][name] - tensor).norm()
        assert gap <= 1e-4 * tensor.norm(), name  # float32, through four steps


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "silent"])
def test_a_failed_process_ends_the_run_with_what_was_granted_kept(
    one: tuple[Path, dict[str, Any]], tmp_path: Path, fault: str
) -> None:
    shutil.copytree(one[0] / "run", tmp_path / "run")
    before = state_of(tmp_path / "run")
    first = run(fault, tmp_path)[0]
    assert first.code == 0, first.stderr
    assert "failed or did not answer" in first.result["error"]
    assert state_of(tmp_path / "run") == before
    assert [r.request for r in Session.open(tmp_path / "run").records] == ["letter"]


def by(launcher: list[str], module: str, *words: str | Path) -> str:
    """What the module prints, started by this interpreter with `launcher`, one thread each."""
    done = subprocess.run(
        [sys.executable, *launcher, "-m", module, *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def torchrun() -> list[str]:
    """What starts two processes."""
    port = str(free_port())
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*launcher, "--master-addr", "127.0.0.1", "--master-port", port]


@pytest.mark.slow
def test_the_command_runs_under_torchrun(one: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run_folder = shutil.copytree(one[0] / "run", tmp_path / "run")
    command = ["unlearn", run_folder, "--ids", "30", "--ids", "31", "--json"]
    command += ["--set", "max_steps=2", "--set", "sample_size=64", "--accept"]
    printed = json.loads(by(torchrun(), "curenu.cli", *command))  # the first alone speaks
    assert Session.open(run_folder).records[-1].after == printed["after"]


@pytest.mark.slow
def test_two_processes_evaluate_as_one_does_and_the_first_alone_writes_and_speaks(
    one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    found, written = {}, {}
    for name, launcher in {"alone": [], "together": torchrun()}.items():
        folder, out = shutil.copytree(one[0] / "run", tmp_path / name), tmp_path / f"{name}-out"
        out.mkdir()
        printed = by(launcher, "tests.distributed.evaluated", folder, out)
        found[name] = json.loads(printed)  # one document
        assert found[name] == json.loads((folder / "results.json").read_text())
        assert (folder / "report.html").read_text().count("</html>") == 1
        assert verify(FolderStore(folder))[1] == []
        written |= {path.stem: json.loads(path.read_text()) for path in out.iterdir()}
    assert written["0"] == written["alone"]
    assert written["1"] == []
    assert len(set(written["0"])) == len(written["0"]) == 4  # two oracles, results and page
    assert seconds_left_out(found["together"]) == seconds_left_out(found["alone"])


def seconds_left_out(results: dict[str, Any]) -> dict[str, Any]:
    """All figures but those of the clock."""
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "ratio")}
            for row in results["rows"]]  # fmt: skip
    assert all(row["findings"] for row in rows)
    said = results["verdict"].partition(" It took ")[0]
    return results | {"rows": rows, "verdict": said}


def test_the_tables_of_the_scaling_page_are_those_of_the_formulae() -> None:
    tables = runpy.run_path(str(ROOT / "benchmarks/speed/scaling.py"))["tables"]()
    page = (ROOT / "docs/scaling.md").read_text()
    for table in tables.split("\n\n"):
        assert table in page
