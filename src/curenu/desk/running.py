"""One attempt at a batch: the solve in a process of its own, the lease renewed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from curenu.desk.home import Desk
from curenu.desk.queue import LEASE, Order, commit, fail, renew, take
from curenu.desk.refusals import SolveFailed
from curenu.errors import RunMoved

__all__ = ["holder_name", "run_batch", "solved", "told_of"]

_LOOK = 0.2  # seconds between looks at the solve
_LAST = 400  # letters of what the solve said last


def holder_name() -> str:
    """The name of this process as a worker."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname().lower())
    return f"w-{host[:30]}-{os.getpid()}"


def run_batch(desk: Desk, name: str, holder: str | None = None) -> str:
    """Take a batch, solve it and commit what came of it; the batch's status then.

    Raises what `take` and `commit` raise, and `SolveFailed` where the solve ended without result.
    """
    order = take(desk, name, holder or holder_name())
    try:
        found = solved(desk, order)
    except SolveFailed:
        fail(desk, order, "solve_failed")
        raise
    folder = desk.attempt_folder(order.batch, order.attempt)
    try:
        status = commit(desk, order, found)
    except RunMoved:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if status == "rejected":
        shutil.rmtree(folder / "run", ignore_errors=True)
    return status


def solved(desk: Desk, order: Order) -> dict[str, Any]:
    """What the solve of `order` found; the lease is kept while it runs.

    Raises `SolveFailed`, or `LeaseLost` after stopping the solve.
    """
    folder = desk.attempt_folder(order.batch, order.attempt)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(told_of(desk, order))
    with (folder / "solve.log").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "curenu.desk.solving"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        try:
            _give(process, text.encode())
            _wait(desk, order, process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return _result(folder, process.returncode)


def told_of(desk: Desk, order: Order) -> dict[str, Any]:
    """What the solve is told, as JSON can hold it."""
    return {
        "folder": str(desk.attempt_folder(order.batch, order.attempt)),
        "batch": order.batch,
        "run": order.run,
        "head": order.head,
        "way": order.way,
        "policy": order.policy.model_dump(mode="json"),
        "requests": order.requests,
    }


def _give(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(text)
        process.stdin.close()


def _wait(desk: Desk, order: Order, process: subprocess.Popen[bytes]) -> None:
    renewed = time.monotonic()
    while process.poll() is None:
        time.sleep(_LOOK)
        if time.monotonic() - renewed > LEASE.total_seconds() / 3:
            renew(desk, order)
            renewed = time.monotonic()


def _result(folder: Path, code: int | None) -> dict[str, Any]:
    try:
        if code:
            raise OSError
        return json.loads((folder / "result.json").read_bytes())
    except (OSError, ValueError):
        raise SolveFailed(
            f"The solve ended with {code} and without a result; its last words are in "
            f"{folder / 'solve.log'}.",
            "`curenu desk run` again, or `--retrain`.",
        ) from None
