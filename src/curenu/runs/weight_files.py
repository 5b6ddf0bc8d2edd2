"""Weights in files, each announced in the ledger before it is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from curenu.atomic import PARTIAL, abandoned, flush_folder, replace_file
from curenu.errors import RunBroken, RunBusy
from curenu.runs.database import ORACLES, Database
from curenu.runs.records import Packed, digest
from curenu.runs.store import Holding

__all__ = ["WeightFiles", "writing_to"]

_TRIES = 20


class WeightFiles:
    """The files of a run's weights and oracles, by name.

    A file's name stands in the table `files` before the file is written, and leaves it, or
    becomes "disposed", after the file is removed. So nothing is ever removed that the ledger
    does not know as its own, and what a killed writer left is known. Weights are named by
    their hash; an oracle is named by what it was trained on, and its hash stands in the table
    `oracles` from when it was written.
    """

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder, self._database = folder, database

    def write(
        self, kind: str, contents: Sequence[Packed], put: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Write files, any number, and what `put` does, together or not at all.

        The announcement may be cleared by another writer before the files are written, who
        takes it for that of a killed one; it is then made again.
        """
        files = {content.name: content for content in contents}
        for _ in range(_TRIES):
            if files:
                self._announce(kind, files)
            with writing_to(self.folder), self._database.writing() as connection:
                states = {name: _state(connection, kind, name) for name in files}
                if None in states.values():
                    continue
                put(connection)
                for name, content in files.items():
                    if states[name] != "kept":
                        self._put(connection, kind, content)
            return
        raise RunBusy(f"{self.folder} is written to all the time.", "waiting a moment.")

    def _announce(self, kind: str, names: Iterable[str]) -> None:
        with writing_to(self.folder), self._database.writing() as connection:
            self._clear(connection)
            connection.executemany(
                "INSERT INTO files VALUES (?, ?, 'pending') ON CONFLICT DO UPDATE "
                "SET state = 'pending' WHERE state = 'disposed' OR kind = 'oracle'",
                [(kind, name) for name in names],
            )

    def _put(self, connection: sqlite3.Connection, kind: str, content: Packed) -> None:
        path = self.path(kind, content.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, content.content, private=True, partial=_partial(path))
        if kind == "oracle":
            _record(connection, content)
        connection.execute(
            "UPDATE files SET state = 'kept' WHERE kind = ? AND name = ?", (kind, content.name)
        )

    def clear(self) -> None:
        """Remove what killed writers announced and the ledger does not hold."""
        with writing_to(self.folder), self._database.writing() as connection:
            self._clear(connection)

    def holdings(self) -> tuple[Holding, ...]:
        """All but oracles that are kept, of which the files themselves tell."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT kind, name, state FROM files WHERE state != 'pending' "
                "AND (kind, state) != ('oracle', 'kept') ORDER BY rowid"
            ).fetchall()
        return tuple(Holding(kind, name, state != "kept") for kind, name, state in rows)

    def faults(self) -> list[str]:
        """Pages that SQLite finds damaged, weights that are missing, other or still there."""
        with self._database.reading() as connection:
            told = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        found = [f"{self._database.path}: {text}." for text in told if text != "ok"]
        for held in self.holdings():
            path = self.path(held.kind, held.name)
            if held.disposed:
                if path.exists():
                    found.append(f"{path} is there, and the ledger says it was disposed of.")
            elif not path.is_file():
                found.append(f"{path} is missing.")
            elif digest(path.read_bytes()) != held.name:
                found.append(f"{path} was changed: its content does not have its hash.")
        return found

    def path(self, kind: str, name: str) -> Path:
        """Where the file of that kind and name is."""
        if kind == "oracle":
            return self.folder / "oracles" / name
        return self.folder / "weights" / f"{name}.safetensors"

    def state(self, kind: str, name: str) -> str | None:
        """What the ledger says of it: pending, kept, disposing or disposed; None: nothing."""
        with self._database.reading() as connection:
            return _state(connection, kind, name)

    def hash_of(self, oracle: str) -> str | None:
        """The hash that the oracle of that name had when it was written; None: not on record."""
        with self._database.reading() as connection:
            if not _has_oracles(connection):
                return None
            row = connection.execute(
                "SELECT hash FROM oracles WHERE name = ?", (oracle,)
            ).fetchone()
        return row[0] if row else None

    def _clear(self, connection: sqlite3.Connection) -> None:
        gone = connection.execute(
            "SELECT kind, name FROM files WHERE state IN ('pending', 'disposing')"
        ).fetchall()
        for kind, name in gone:
            path = self.path(kind, name)
            path.unlink(missing_ok=True)
            for part in (_partial(path), *abandoned(path)):
                part.unlink(missing_ok=True)
        for folder in {self.path(kind, name).parent for kind, name in gone}:
            if folder.is_dir():
                flush_folder(folder)
        connection.execute("DELETE FROM files WHERE state = 'pending'")
        connection.execute("UPDATE files SET state = 'disposed' WHERE state = 'disposing'")


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Failures of the file system inside, as errors of the run."""
    try:
        yield
    except OSError as error:
        raise RunBroken(
            f"Cannot write to {folder}: {error.strerror}; the state before is kept.",
            "freeing space or granting access, then the same again.",
        ) from error


def _state(connection: sqlite3.Connection, kind: str, name: str) -> str | None:
    row = connection.execute(
        "SELECT state FROM files WHERE kind = ? AND name = ?", (kind, name)
    ).fetchone()
    return row[0] if row else None


def _record(connection: sqlite3.Connection, oracle: Packed) -> None:
    """Put the hash of an oracle on record."""
    connection.execute(ORACLES)
    connection.execute(
        "INSERT OR REPLACE INTO oracles VALUES (?, ?)", (oracle.name, digest(oracle.content))
    )


def _has_oracles(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'oracles'").fetchone()
    return found is not None


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)
