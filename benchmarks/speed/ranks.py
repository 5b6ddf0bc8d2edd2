"""One Gauss-Newton step on two processes against the same on one; JSON on standard output.

Every process has one thread. The same step (StoCuReNU's: gradient, two Lanczos products, the
cubic model solved for a given penalty, the step, all on one sample) is made by a group of one
and a group of two in turn, round after round, so that both see the same machine; the median of
the rounds' ratios is kept. `processor_time_ratio` is that of the processor time of the busiest
process, which other work on the machine disturbs less, and which waiting does not enter.
Equality is that of the points reached. Usage:

    python benchmarks/speed/ranks.py [--smoke] [--ranks 2] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, LanczosSolver
from curenu.distributed import alone, joined, rank, reduced
from curenu.objective import EmpiricalRisk

PENALTY, PRODUCTS = 10.0, 2
TARGET = 0.6


def objective(size: int) -> EmpiricalRisk:
    """The 20,490-parameter CNN of the Fashion-MNIST task on `size` synthetic images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1568, 10),
        )
        data = TensorDataset(torch.randn(size, 1, 28, 28), torch.randint(10, (size,)))
    return EmpiricalRisk(model, data, "cross_entropy", weight_decay=1e-3)


def step(risk: EmpiricalRisk) -> Tensor:
    """Where one step from the start leads, `[d]`."""
    curvature = risk.linearise(risk.start, curvature="gauss_newton")
    model = CubicModel(curvature.gradient, curvature, PENALTY)
    solver = LanczosSolver(max_products=PRODUCTS, tolerance=0.0)
    return risk.start + solver(model).step


def worker(size: int, rounds: int, folder: Path) -> None:
    """One process of the group: steps by the first alone, the others waiting, then by all."""
    torch.set_num_threads(1)
    with joined():
        risk = objective(size)
        times: dict[str, list[float]] = {"one": [], "all": []}
        worked: dict[str, list[float]] = {"one": [], "all": []}
        points: dict[str, Tensor] = {}
        for count in range(rounds + 1):  # the first round warms up
            for name in times:
                reduced(torch.zeros(1))  # all are here
                start, work = time.perf_counter(), time.process_time()
                if name == "all":
                    points[name] = step(risk)
                elif rank() == 0:
                    with alone():
                        points[name] = step(risk)
                reduced(torch.zeros(1))
                if count:
                    times[name].append(time.perf_counter() - start)
                    worked[name].append(time.process_time() - work)
        torch.save({"times": times, "worked": worked, "points": points}, folder / f"{rank()}.pt")


def measure(size: int, rounds: int, ranks: int) -> dict[str, Any]:
    """Start the group and put together what its processes found."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        common = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        single = {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--worker", str(size), str(rounds), folder]
        running = [
            subprocess.Popen(command, env=os.environ | common | single | {"RANK": str(number)})
            for number in range(ranks)
        ]
        codes = [process.wait(timeout=1800) for process in running]
        if any(codes):
            raise SystemExit(f"A process of the group failed: exit codes {codes}.")
        found = [torch.load(Path(folder) / f"{number}.pt") for number in range(ranks)]
    one, every = (found[0]["times"][name] for name in ("one", "all"))
    ratios = [b / a for a, b in zip(one, every, strict=True)]
    work_one = statistics.median(found[0]["worked"]["one"])
    work_all = max(statistics.median(each["worked"]["all"]) for each in found)
    reference = found[0]["points"]["one"].double()
    start = objective(2).start.double()
    gap = (found[0]["points"]["all"].double() - reference).norm()
    return {
        "examples": size,
        "rounds": rounds,
        "ranks": ranks,
        "threads_each": 1,
        "seconds_one": statistics.median(one),
        "seconds_all": statistics.median(every),
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "target_ratio": TARGET,
        "processor_time_ratio": work_all / work_one,
        "relative_difference": float(gap / reference.norm()),
        "relative_difference_of_the_step": float(gap / (reference - start).norm()),
        "same_bits_on_all_ranks": all(
            torch.equal(found[0]["points"]["all"], other["points"]["all"]) for other in found
        ),
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        worker(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few examples, two rounds")
    parser.add_argument("--ranks", type=int, default=2, help="processes of the larger group")
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    arguments = parser.parse_args()
    size, rounds = (1024, 2) if arguments.smoke else (8192, 7)
    result = {
        "curenu": version("curenu"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "seed": 0,
    } | measure(size, rounds, arguments.ranks)
    text = json.dumps(result, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
