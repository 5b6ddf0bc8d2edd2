"""The worker: durable workflows of DBOS, each of which runs one batch.

A workflow knows a batch's id and nothing else; what it returns is a word. DBOS keeps its own tables
in a database of its own beside the desk's.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from curenu.desk.database import Database
from curenu.desk.home import Desk
from curenu.desk.looking import runnable
from curenu.desk.moving import batch_row
from curenu.desk.queue import seal_due
from curenu.desk.running import holder_name, run_batch
from curenu.errors import RunBusy
from curenu.version import __version__

__all__ = ["work"]

_open: dict[str, Desk] = {}


@DBOS.step()
def _attempt(batch: str) -> str:
    """One attempt; an error is told by its kind, since its text may be kept."""
    try:
        return run_batch(_open["desk"], batch)
    except Exception as error:  # of every kind: its text might be kept
        return type(error).__name__


@DBOS.workflow()
def _erase(batch: str) -> str:
    return _attempt(batch)


def work(desk: Desk, *, once: bool = False, every: float = 5.0) -> Iterator[tuple[str, str]]:
    """Seal and run what is due, again and again; each batch and what became of it.

    `once` ends when nothing is due. Raises `NotReady` for a restored database.
    """
    _open["desk"] = desk
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS(config=_config(desk))
    DBOS.launch()
    tried: set[tuple[str, int]] = set()
    try:
        while True:
            seal_due(desk)
            due = [(name, _attempts(desk.database, name)) for name in runnable(desk)]
            fresh = [one for one in due if one not in tried]
            for name, attempt in fresh:
                tried.add((name, attempt))
                yield name, _done(desk, name)
            if once and not fresh:
                return
            if not fresh:
                tried.clear()  # a batch that was on hold or another's may be free by now
                time.sleep(every)
    finally:
        with suppress(RunBusy):
            DBOS.destroy()
        _open.clear()


def _done(desk: Desk, name: str) -> str:
    """What a workflow makes of the batch: the one whose worker was lost goes on, or a new one."""
    with desk.database.reading() as connection:
        row = batch_row(connection, name)
    own = f"{name}-{row.attempt - (row.status == 'running')}"
    known = DBOS.get_workflow_status(own)
    if known is not None and known.status in ("PENDING", "ENQUEUED"):
        return DBOS.resume_workflow(own).get_result()
    with SetWorkflowID(own if known is None else f"{own}-{uuid.uuid4()}"):
        return DBOS.start_workflow(_erase, name).get_result()


def _attempts(database: Database, name: str) -> int:
    with database.reading() as connection:
        return batch_row(connection, name).attempt


def _config(desk: Desk) -> DBOSConfig:
    url = f"sqlite:///{desk.folder.resolve() / 'workflows.sqlite'}"
    return {
        "name": "curenu-desk",
        "system_database_url": url if desk.database.sqlite else desk.database.url,
        "serializer": DBOSPortableJSONSerializer(),
        "executor_id": holder_name(),
        "application_version": __version__,
        "log_level": "WARNING",
        "enable_otlp": False,
    }
