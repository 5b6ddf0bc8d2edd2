"""Cases of `cases.py` run by several processes on this machine, one thread each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a process ended, what it said, and what it returned (None if it failed)."""

    code: int
    stderr: str
    result: Any


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def run(case: str, folder: Path, *, count: int = 2, seconds: int = 60) -> list[Ended]:
    """The case in `count` processes that form a group; none outlives `seconds`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.distributed.cases", case, str(folder)]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(rank, count, port),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        said = [process.communicate(timeout=seconds)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    ended = []
    for rank, (process, text) in enumerate(zip(running, said, strict=True)):
        path = folder / f"{case}-{rank}.pt"
        result = torch.load(path, weights_only=False) if path.is_file() else None
        ended.append(Ended(process.returncode, text, result))
    return ended
