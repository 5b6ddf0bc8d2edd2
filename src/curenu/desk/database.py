"""The desk's database: opened, brought to the schema of this code, and written in transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from curenu.desk.refusals import ClockSetBack, DatabaseNewer, DatabaseUnavailable, IllegalMove
from curenu.desk.tables import clock
from curenu.errors import BadRequest

__all__ = ["Database", "utc_now"]

_TOLERANCE = timedelta(minutes=2)  # by which the clocks of several workers may differ
_WAIT = 60  # seconds that a writer waits for another


def utc_now() -> datetime:
    """The time now in UTC, to the second, without a zone, as the tables keep it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


class Database:
    """An SQLite file or a PostgreSQL database, by its SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)

    @property
    def sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self.engine.dialect.name == "sqlite"

    def migrate(self) -> None:
        """Bring the schema up to this code's; a new database gets all of it.

        Raises `DatabaseNewer` for one that a newer curenu made.
        """
        with _told(), self.engine.begin() as connection:
            known = _known(connection)
            if known is not None and known not in _revisions():
                raise _newer(known)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check(self) -> None:
        """Raise `DatabaseNewer`, or `BadRequest` for a database without the desk's tables."""
        with _told(), self.engine.connect() as connection:
            known = _known(connection)
        if known is None:
            raise BadRequest("There is no desk in this database.", "`curenu desk init`.")
        if known not in _revisions():
            raise _newer(known)

    @contextmanager
    def transaction(self, now: datetime | None = None) -> Iterator[Connection]:
        """A transaction that holds others off; all of it is kept or, after an error, nothing.

        Raises `ClockSetBack` where `now` lies before what the desk has seen, `IllegalMove` where a
        rule of the database refuses, `DatabaseUnavailable` for a full disk or a lost connection.
        """
        with _told(), self.engine.begin() as connection:
            if not self.sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(4705)"))
            if now is not None:
                _see(connection, now)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look with."""
        with _told(), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _see(connection: Connection, now: datetime) -> None:
    newest = connection.execute(sa.select(clock.c.newest)).scalar()
    if newest is None:
        connection.execute(clock.insert().values(id=1, newest=now))
    elif now < newest - _TOLERANCE:
        raise ClockSetBack(
            f"The clock shows {now} and the desk has seen {newest}: deadlines would be wrong.",
            "setting the clock of this machine.",
        )
    elif now > newest:
        connection.execute(clock.update().values(newest=now))


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the database as those of the desk."""
    try:
        yield
    except (IntegrityError, ProgrammingError) as error:
        said = str(error.orig)
        if "desk:" not in said:
            raise
        raise IllegalMove(
            f"The database refuses: {said.partition('desk: ')[2].splitlines()[0]}.",
            "`curenu desk show`, which says where it stands.",
        ) from None
    except OperationalError as error:
        said = str(error.orig).splitlines()[0]
        raise DatabaseUnavailable(
            f"The database took nothing of this: {said}.",
            "room on its disk and a connection to it, then the same again.",
        ) from None


def _engine(url: str) -> Engine:
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    # Values of statements may be personal: no error's text may hold them.
    engine = sa.create_engine(url, connect_args=_arguments(url), hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    elif engine.dialect.name != "postgresql":
        raise BadRequest(f"{engine.dialect.name} is no database of the desk.",
                         "sqlite:///file or postgresql://…")  # fmt: skip
    return engine


def _arguments(url: str) -> dict[str, Any]:
    return {"timeout": _WAIT} if url.startswith("sqlite") else {}


def _prepare(connection: Any, _: object) -> None:
    """One file at rest, flushed for good, and overwritten where something is deleted."""
    connection.isolation_level = None  # transactions are begun below, not by the driver
    for setting in ("journal_mode=DELETE", "synchronous=EXTRA", "secure_delete=ON",
                    "foreign_keys=ON"):  # fmt: skip
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _known(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _revisions() -> set[str]:
    return {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _newer(known: str) -> DatabaseNewer:
    return DatabaseNewer(
        f"The database is at step {known}, which this version of curenu does not know.",
        "the version of curenu that made it, or a newer one.",
    )
