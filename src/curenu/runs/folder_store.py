"""A run as a folder: a description, a ledger, and weights named by their hash."""

from __future__ import annotations

import os
import sqlite3
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from curenu.atomic import LOCK, PARTIAL, held, replace_file
from curenu.errors import CurenuError, Disposed, RunBroken, RunBusy
from curenu.runs.database import NAME, Database
from curenu.runs.evidence import Entry, Head, Line
from curenu.runs.ledger import NO_RECORD, RESTORE
from curenu.runs.oracle_shelf import OracleShelf
from curenu.runs.records import (
    FORMAT,
    Named,
    Packed,
    RunDescription,
)
from curenu.runs.store import Holding, check_follows, unpack
from curenu.runs.weight_files import WeightFiles, writing_to

__all__ = ["FolderStore"]

_MANY = 2**62
_LINES = (
    "SELECT e.number, e.body, e.hash, s.salt, s.body FROM evidence e "
    "LEFT JOIN subjects s ON s.number = e.number WHERE e.number >= ? AND e.number < ? "
    "ORDER BY e.number"
)


class FolderStore:
    """The `RunStore` in a folder: `task.toml`, `ledger.sqlite`, `weights/`, `oracles/`.

    A record is granted by the commit of a transaction, in which its weights were written
    before. What is about to be written is announced in the ledger first, so that only files
    whose names the ledger knows are ever removed. Every file is for its owner alone.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._database = Database(self.folder)
        self._files = WeightFiles(self.folder, self._database)

    @property
    def place(self) -> str:
        return str(self.folder)

    def check_free(self) -> None:
        """Raise `RunBroken` if the folder holds anything but leftovers of a killed creation."""
        for place in (self.folder, *self.folder.parents):
            if place.is_file():
                raise RunBroken(f"{place} is a file.", "another folder name.")
        held = set(os.listdir(self.folder)) if self.folder.exists() else set()
        if NAME in held and self._head() != NO_RECORD:
            raise RunBroken(
                f"{self.folder} already holds a run.",
                "another folder, or going on with that run: `curenu unlearn`, in Python "
                "`Session.open`.",
            )
        ours = {LOCK, NAME, f"{NAME}-journal", "task.toml" + PARTIAL}
        ours |= {"weights", "task.toml"} if NAME in held else set()
        strange = sorted(held - ours)
        if strange:
            raise RunBroken(
                f"{self.folder} is not empty and no run folder: it holds {strange[0]!r}.",
                "a new or an empty folder.",
            )

    def create(self, description: RunDescription, entry: Entry, weights: Sequence[Packed]) -> None:
        """Found the run: the first record, with its weights and `task.toml`, or nothing."""
        self.check_free()
        content = tomli_w.dumps(description.model_dump(exclude_none=True)).encode()
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._database.create()
        self._commit(entry, weights, entry.evidence.previous, (), self._founds(content))

    def adopt(self, description: RunDescription, entries: Sequence[Entry]) -> None:
        """Found the run on records that were made before, whose weights lie in their place."""
        names = dict.fromkeys([description.start, *(e.evidence.after for e in entries)])
        content = tomli_w.dumps(description.model_dump(exclude_none=True)).encode()
        with writing_to(self.folder):
            self._database.create()
        with writing_to(self.folder), self._database.writing() as connection:
            for table in ("files", "evidence", "subjects", "measures"):
                connection.execute(f"DELETE FROM {table}")  # of a migration that was killed
            for entry in entries:
                check_follows(entry, _head(connection), entry.evidence.previous)
                _insert(connection, entry, ())
            connection.executemany(
                "INSERT INTO files VALUES ('weights', ?, 'kept')", [(name,) for name in names]
            )
        with writing_to(self.folder):
            self._founds(content)()

    def description(self) -> RunDescription:
        """What the run is of, from `task.toml`."""
        path = self.folder / "task.toml"
        if not path.is_file():
            raise RunBroken(
                f"{self.folder} is no run folder: it has no task.toml.",
                "a folder made by `curenu train`.",
            )
        try:
            content = tomllib.loads(self._read(path).decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunBroken(f"{path} is no valid TOML: {error}.", RESTORE) from error
        if content.get("format") != FORMAT:
            raise RunBroken(
                f"{path} has format {content.get('format')!r}, not {FORMAT}.",
                f"`curenu migrate {self.folder}` for format 1, or the version that wrote it.",
            )
        try:
            return RunDescription.model_validate(content)
        except ValidationError as error:
            raise RunBroken(f"{path}: {_first(error)}.", RESTORE) from error

    def lines(self, since: int = 0, until: int | None = None) -> list[Line]:
        with self._database.reading() as connection:
            rows = connection.execute(_LINES, (since, _MANY if until is None else until))
            return [Line._make(row) for row in rows]

    def measures(self, since: int = 0, until: int | None = None) -> dict[int, str]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, body FROM measures WHERE number >= ? AND number < ?",
                (since, _MANY if until is None else until),
            )
            return dict(rows.fetchall())

    def weights(self, name: str) -> Named:
        """The weights of that name, verified by their hash; `Disposed` once they were."""
        path = self._files.path("weights", name)
        if not path.is_file() and self._files.state("weights", name) in ("disposing", "disposed"):
            raise Disposed(
                f"Weights {name[:12]} were disposed of.",
                "the current weights; `curenu log` says when and why these went.",
            )
        return unpack(self._read(path), name, str(path))

    def holdings(self) -> tuple[Holding, ...]:
        oracles = (Holding("oracle", name) for name in self.networks.names())
        return (*self._files.holdings(), *oracles)

    def faults(self) -> list[str]:
        return [*self._files.faults(), *self.networks.faults()]

    def clear(self) -> None:
        self._files.clear()

    def commit(
        self, entry: Entry, weights: Sequence[Packed], *, head: str, forget: Collection[int] = ()
    ) -> None:
        """Put `entry` on record if `head` is still the last; its weights come with it."""
        self._commit(entry, weights, head, forget)
        if entry.disposed:
            self.clear()

    @property
    def networks(self) -> OracleShelf:
        return OracleShelf(self.folder / "oracles", self._files)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the run for one writer; the system lets go of it when a process dies."""
        with ExitStack() as stack:
            with writing_to(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder))
            yield

    # Within ---------------------------------------------------------------------------------

    def _commit(
        self,
        entry: Entry,
        weights: Sequence[Packed],
        head: str,
        forget: Collection[int],
        also: Callable[[], None] = lambda: None,
    ) -> None:
        def put(connection: sqlite3.Connection) -> None:
            check_follows(entry, _head(connection), head)
            also()
            _insert(connection, entry, forget)

        try:
            check_follows(entry, self._head(), head)  # before the work of writing
            self._files.write("weights", weights, put)
        except (RunBroken, RunBusy) as error:
            if self._on_record(entry):
                raise RunBroken(
                    f"{error.problem} Record {entry.line.number} was written nevertheless, "
                    "but a power cut may still undo it.",
                    "`curenu verify`, and mending the disk.",
                ) from error
            raise

    def _founds(self, description: bytes) -> Callable[[], None]:
        path = self.folder / "task.toml"
        return lambda: replace_file(
            path, description, private=True, partial=path.with_name(path.name + PARTIAL)
        )

    def _head(self) -> Head:
        with self._database.reading() as connection:
            return _head(connection)

    def _on_record(self, entry: Entry) -> bool:
        try:
            return self._head().hash == entry.line.hash
        except CurenuError:
            return False

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise RunBroken(f"Cannot read {path}: {error.strerror}.", RESTORE) from error


def _head(connection: sqlite3.Connection) -> Head:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'evidence'").fetchone():
        return NO_RECORD
    row = connection.execute(
        "SELECT number, hash FROM evidence ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return Head._make(row) if row else NO_RECORD


def _insert(connection: sqlite3.Connection, entry: Entry, forget: Collection[int]) -> None:
    line = entry.line
    connection.execute("INSERT INTO evidence VALUES (?, ?, ?)", (line.number, line.body, line.hash))
    connection.execute("INSERT INTO measures VALUES (?, ?)", (line.number, entry.measures))
    connection.executemany("DELETE FROM subjects WHERE number = ?", [(n,) for n in forget])
    if line.subjects is not None:
        connection.execute(
            "INSERT INTO subjects VALUES (?, ?, ?)", (line.number, line.salt, line.subjects)
        )
    for gone in entry.disposed:
        connection.execute(
            "INSERT INTO files VALUES (?, ?, 'disposing') ON CONFLICT DO UPDATE "
            "SET state = 'disposing'",
            (gone.kind, gone.name),
        )


def _first(error: ValidationError) -> str:
    """The first complaint of a failed validation, in one line."""
    complaint = error.errors(include_url=False)[0]
    place = ".".join(map(str, complaint["loc"]))
    return f"{place}: {complaint['msg']}" if place else complaint["msg"]
