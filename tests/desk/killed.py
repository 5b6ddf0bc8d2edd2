"""A desk's worker that is killed at a given moment: run as `killed.py FOLDER POINT TIME`.

`POINT` counts the statements of SQL, commits among them, and the files that are put in place; at
that one the process ends as by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from curenu.desk import home, journal, queue, releasing
from curenu.desk.home import Desk
from curenu.desk.looking import batches, runnable
from tests.desk.desks import found_by

left = [0]


def count(*_: Any) -> None:
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def counted(function: Any) -> Any:
    """`function`, killed before or after what it does."""

    def called(*given: Any, **more: Any) -> Any:
        count()
        found = function(*given, **more)
        count()
        return found

    return called


def work(desk: Desk) -> None:
    """Everything from the approved request to the published report, as often as it takes."""
    queue.seal_due(desk)
    for name in runnable(desk):
        order = queue.take(desk, name, "w-killed")
        queue.commit(desk, order, found_by(desk, order))
    for row in batches(desk):
        if row.status in ("awaiting_release", "released"):
            releasing.release(desk, row.id, "bea")


def main() -> None:
    desk = Desk.open(Path(sys.argv[1]))
    at = datetime.fromisoformat(sys.argv[3])
    desk.clock = lambda: at
    left[0] = int(sys.argv[2])
    for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(desk.database.engine, event, count)
    for module in (home, journal):
        module.replace_file = counted(module.replace_file)
    work(desk)
    print(left[0])


if __name__ == "__main__":
    main()
