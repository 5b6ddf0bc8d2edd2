"""Speed and memory, side by side in one run: JSON files, and the page made from them.

Ratios, not seconds, are the result: contenders take turns, round after round, and the median
of the rounds' ratios is kept. Usage:

    python benchmarks/speed/run.py [--smoke] [--only PART ...] [--out FOLDER]

Without `--smoke` the JSON goes to benchmarks/speed/results and `docs/performance.md` is made
anew; a smoke run prints, and writes only where `--out` says.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import compiled
import erasing
import exact
import growth
import page
import products
import ranks
import solvers
import torch
from race import environment

PARTS = {
    "products": products.measure,
    "compiled": compiled.measure,
    "solvers": solvers.measure,
    "growth": growth.measure,
    "exact": exact.measure,
    "erasing": erasing.measure,
    "ranks": ranks.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few examples and rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="folder of the JSON files")
    arguments = parser.parse_args()
    folder = arguments.out or (None if arguments.smoke else page.RESULTS)
    torch.set_num_threads(1)
    for name in arguments.only:
        start = time.perf_counter()
        result = {
            "part": name,
            "smoke": arguments.smoke,
            "environment": environment(),
            "result": PARTS[name](smoke=arguments.smoke),
            "seconds": time.perf_counter() - start,
        }
        text = json.dumps(result, indent=2)
        if folder is None:
            print(text)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(text + "\n")
            print(f"{folder / name}.json", flush=True)
    if folder == page.RESULTS:
        page.PAGE.write_text(page.text())


if __name__ == "__main__":
    main()
