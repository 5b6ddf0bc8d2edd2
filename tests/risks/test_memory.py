"""Peak memory of a product, each measured in a process of its own.

glibc's allocator is told to give freed blocks back at once, so that the peak is of what was alive.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

KEEP_ALL = 2**40
NOTHING_HELD_BACK = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**17),
    "MALLOC_TRIM_THRESHOLD_": "0",
}


def peak(batches: int, budget: int = 0) -> int:
    command = [sys.executable, "-m", "tests.risks.peak", str(batches), str(budget)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | NOTHING_HELD_BACK,
    )
    return int(ran.stdout)


@pytest.mark.slow
def test_peak_memory_of_a_product_does_not_grow_with_the_data() -> None:
    few, many = peak(8), peak(256)
    assert many <= 1.05 * few


@pytest.mark.slow
def test_the_measure_sees_graphs_that_are_kept() -> None:
    """Positive control: the same examples take far more when every graph is kept."""
    assert peak(64, KEEP_ALL) > 1.5 * peak(64)


@pytest.mark.slow
def test_kept_graphs_stay_within_their_budget() -> None:
    budget = 100 * 2**20
    assert peak(64, budget) <= peak(8) + 1.25 * budget
