"""The ledger's file: one SQLite database, opened anew for every use."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from curenu.errors import RunBroken, RunBusy
from curenu.runs.ledger import RESTORE

__all__ = ["NAME", "ORACLES", "VERSION", "Database"]

NAME = "ledger.sqlite"
VERSION = 2
_PATIENCE = 10.0  # seconds to wait for another's transaction, which takes milliseconds
_SCHEMA = f"""
CREATE TABLE evidence (number INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE subjects (number INTEGER PRIMARY KEY, salt TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE measures (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE files (
    kind TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'kept', 'disposing', 'disposed')),
    PRIMARY KEY (kind, name)
);
PRAGMA user_version = {VERSION};
"""

ORACLES = "CREATE TABLE IF NOT EXISTS oracles (name TEXT PRIMARY KEY, hash TEXT NOT NULL)"
"""Made with a run's first oracle; a run whose oracles were never put on record has none."""


class Database:
    """The database in a run folder; a link to it elsewhere is followed.

    A rollback journal rather than a write-ahead log: the state at rest is one file, which can
    be read where nothing may be written and from several machines, and what is deleted is
    overwritten (`secure_delete`) and stays in no log. `synchronous=EXTRA` flushes the folder
    as well, so that a record survives a power cut once `commit` has returned.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def create(self) -> None:
        """Make the file and its tables, unless they are there."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
            connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state throughout."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is kept whole when the block ends, and not at all when it fails."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise RunBusy(f"{self.path} is in use: {error}.", "waiting a moment.") from error
            if "no such table" in str(error):
                raise RunBroken(f"{self.path} is no ledger: {error}.", RESTORE) from error
            raise RunBroken(
                f"Cannot use {self.path}: {error}; what was granted before is kept.",
                "freeing space or granting access, then the same again.",
            ) from error
        except sqlite3.DatabaseError as error:
            raise RunBroken(f"{self.path} is damaged: {error}.", RESTORE) from error

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise RunBroken(f"Cannot read {self.path}: there is no such file.", RESTORE)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise RunBroken(
                    f"{self.path} has format {version}, not {VERSION}.",
                    "the version of curenu that wrote it.",
                )
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA secure_delete = ON")
        except BaseException:
            connection.close()
            raise
        return connection
