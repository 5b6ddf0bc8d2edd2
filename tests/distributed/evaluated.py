"""`curenu evaluate RUN --json`, and which files of the run this process wrote.

`python -m tests.distributed.evaluated RUN OUT`, also by torchrun, writes OUT/RANK.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from curenu.cli import main

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(run: Path) -> list[str]:
    """Files of `run` that get their content from now on, in order, as often as they do."""
    written: list[str] = []

    def told(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            written.append(str(arguments[1]))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            written.append(str(arguments[0]))

    sys.addaudithook(told)
    return written


def evaluate(run: Path, out: Path) -> None:
    written = watch(run)
    sys.argv = ["curenu", "evaluate", str(run), "--json"]
    try:
        main()
    finally:
        inside = [Path(file) for file in written if str(run) in file]
        names = [file.relative_to(run).as_posix() for file in inside]
        whole = [name for name in names if not name.endswith(".partial")]
        (out / f"{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(whole))


if __name__ == "__main__":
    evaluate(Path(sys.argv[1]), Path(sys.argv[2]))
