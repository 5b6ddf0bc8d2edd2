"""One Gauss-Newton step on two processes against the same on one.

Every process has one thread. The same step (StoCuReNU's: gradient, two Lanczos products, the
cubic model solved for a given penalty, the step, all on one sample) is made by a group of one
and a group of two in turn, round after round, so that both see the same machine; the median of
the rounds' ratios is kept. `processor_time_ratio` is that of the processor time of the busiest
process, which other work on the machine disturbs less, and which waiting does not enter.
What two processes could reach at best is measured in the same rounds: one process on half of
the examples while the other waits, and both on halves of their own without a message.
Equality is that of the points reached. Run as a program, this file is one of the processes.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from race import cnn, images, ratios
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.cubic import CubicModel, LanczosSolver
from curenu.distributed import alone, joined, rank, reduced
from curenu.risks import EmpiricalRisk

__all__ = ["measure"]

PENALTY, PRODUCTS, RANKS = 10.0, 2, 2
TARGET = 0.6


def objective(size: int) -> EmpiricalRisk:
    """That of the CNN on `size` synthetic images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = cnn()
    return EmpiricalRisk(model, TensorDataset(*images(size)), "cross_entropy", weight_decay=1e-3)


def step(risk: EmpiricalRisk) -> Tensor:
    """Where one step from the start leads, `[d]`."""
    curvature = risk.linearise(risk.start, curvature="gauss_newton")
    model = CubicModel(curvature.gradient, curvature, PENALTY)
    solver = LanczosSolver(max_products=PRODUCTS, tolerance=0.0)
    return risk.start + solver(model).step


def worker(size: int, rounds: int, folder: Path) -> None:
    """One process of the group: the same step by all, and what it is compared with."""
    torch.set_num_threads(1)
    with joined():
        risk = objective(size)
        half = risk.subset(range(rank(), size, RANKS))
        first = range(1)
        plans = {  # the objective of a step, and which processes make one by themselves
            "one": (risk, first),
            "half": (half, first),
            "halves": (half, range(RANKS)),
            "all": (risk, None),
        }
        times: dict[str, list[float]] = {name: [] for name in plans}
        worked: dict[str, list[float]] = {name: [] for name in plans}
        points: dict[str, Tensor] = {}
        for count in range(rounds + 1):  # the first round warms up
            for name, (own, alone_are) in plans.items():
                reduced(torch.zeros(1))  # all are here
                start, work = time.perf_counter(), time.process_time()
                if alone_are is None:
                    points[name] = step(own)
                elif rank() in alone_are:
                    with alone():
                        points[name] = step(own)
                reduced(torch.zeros(1))
                if count:
                    times[name].append(time.perf_counter() - start)
                    worked[name].append(time.process_time() - work)
        torch.save({"times": times, "worked": worked, "points": points}, folder / f"{rank()}.pt")


def measure(*, smoke: bool) -> dict[str, Any]:
    """Start the group and put together what its processes found."""
    size, rounds = (1024, 2) if smoke else (8192, 15)
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        common = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        single = {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(size), str(rounds), folder]
        running = [
            subprocess.Popen(command, env=os.environ | common | single | {"RANK": str(number)})
            for number in range(RANKS)
        ]
        codes = [process.wait(timeout=1800) for process in running]
        if any(codes):
            raise SystemExit(f"A process of the group failed: exit codes {codes}.")
        found = [torch.load(Path(folder) / f"{number}.pt") for number in range(RANKS)]
    times = found[0]["times"]
    over = ratios(times, "one")
    work_one = statistics.median(found[0]["worked"]["one"])
    work_all = max(statistics.median(each["worked"]["all"]) for each in found)
    reference = found[0]["points"]["one"].double()
    start = objective(2).start.double()
    gap = (found[0]["points"]["all"].double() - reference).norm()
    return {
        "examples": size,
        "rounds": rounds,
        "products": PRODUCTS,
        "ranks": RANKS,
        "cores": os.cpu_count(),
        "threads_each": 1,
        "seconds_one": statistics.median(times["one"]),
        "seconds_all": statistics.median(times["all"]),
        "ratio": over["all"],
        "half_alone_ratio": over["half"],
        "halves_at_once_ratio": over["halves"],
        "target_ratio": TARGET,
        "processor_time_ratio": work_all / work_one,
        "relative_difference": float(gap / reference.norm()),
        "relative_difference_of_the_step": float(gap / (reference - start).norm()),
        "same_bits_on_all_ranks": all(
            torch.equal(found[0]["points"]["all"], other["points"]["all"]) for other in found
        ),
    }


if __name__ == "__main__":
    worker(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
