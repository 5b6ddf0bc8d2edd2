"""Runs every shipped benchmark in its small form; those whose data are missing are named.

    python benchmarks/quality/smoke.py --jobs 2

Ends with 1 if any does not finish or has a failed cell.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curenu.bench import RESULTS, shipped

COMMAND = (sys.executable, "-c", "from curenu.cli import main; main()", "bench")
MISSING_DATA = 3  # the command's exit code


def one(name: str, folder: Path, jobs: int) -> tuple[str, bool]:
    """(what became of the benchmark, whether that is in order)."""
    start = time.perf_counter()
    out = folder / name
    places = ("--out", str(out), "--cache", str(folder / "networks"))
    done = subprocess.run(
        [*COMMAND, name, "--smoke", "--jobs", str(jobs), *places],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = f"{time.perf_counter() - start:.0f} s"
    if done.returncode == MISSING_DATA:
        return f"skipped, {done.stderr.strip()}", True
    if not (out / RESULTS).is_file():
        return f"failed after {seconds}\n{done.stdout[-2000:]}{done.stderr[-2000:]}", False
    cells = json.loads((out / RESULTS).read_text())["cells"]
    failed = [f"{c['method']}: {c['failed']}" for c in cells if "failed" in c]
    words = f"done in {seconds}, {len(cells)} cells, {len(failed)} failed"
    return "\n  ".join([words, *failed]), not failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        for name in shipped():
            words, fine = one(name, Path(folder), jobs)
            sound = sound and fine
            print(f"{name}: {words}", flush=True)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
