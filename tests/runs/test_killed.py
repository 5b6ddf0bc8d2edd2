"""Killed at any point, a run holds what was granted; the same again gives the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


SLOW = [pytest.param(25, seed, marks=pytest.mark.slow) for seed in range(1, 9)]  # 200 points


@pytest.mark.parametrize(("count", "seed"), [(2, 0), *SLOW])
def test_nothing_is_lost_and_nothing_half_granted(tmp_path: Path, count: int, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.killed", tmp_path, str(count), str(seed)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["faults"] == {}
    assert found["killed"] >= count - 1 - count // 20  # a late delay may outlive the child
    assert found["events"] > 200
