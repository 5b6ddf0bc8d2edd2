"""The estimate before a start, against what was then taken, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from curenu.compare import estimate
from curenu.erasure import Plan
from curenu.risks import EmpiricalRisk
from tests.peaks import Drawn, model

# Freed memory goes back at once: glibc keeps up to twice as much for itself otherwise, which
# no count of tensors can know.
EAGER = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def child(name: str, what: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.peaks", name, what],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | EAGER | {"OMP_NUM_THREADS": "1"},
    )
    return int(ran.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "mlp", "resnet"])
def test_the_estimate_is_within_a_fifth_of_the_measured_peak(name) -> None:
    assert child(name, "estimate") == pytest.approx(child(name, "peak"), rel=0.2)


def test_kept_graphs_are_in_the_estimate() -> None:
    risk = EmpiricalRisk(model("resnet"), Drawn(64), "cross_entropy", micro_batch_size=8)
    risk.linearise(risk.start)  # the check of the products is behind it
    least, some, every = (
        estimate(risk, Plan(64, 4, curvature="hessian", kept=kept)).bytes for kept in (0, 16, None)
    )
    assert every - least == pytest.approx(4 * (some - least))
    assert some > least
