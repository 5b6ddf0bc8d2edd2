"""The steps make the schema that the code speaks of; a database of a newer curenu is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from curenu.desk.database import Database
from curenu.desk.guards import statements, unguarded
from curenu.desk.home import Desk
from curenu.desk.looking import complaints
from curenu.desk.refusals import DatabaseNewer
from curenu.desk.tables import metadata
from curenu.errors import BadRequest
from tests.desk.desks import execute
from tests.desk.test_desk_cli import said

BOTH = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


def _catalogue(connection: Connection) -> set[Any]:
    """Tables, indexes and constraints as the database itself writes them down."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'"
        )
        return {(row.name, " ".join(row.sql.split())) for row in rows}
    found: set[Any] = set()
    for query in (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
        "SELECT table_name, ordinal_position, column_name, data_type, character_maximum_length, "
        "is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'public'",
    ):
        found |= {tuple(row) for row in connection.exec_driver_sql(query)}
    return found


@BOTH
def test_the_steps_make_the_tables_of_the_code(tmp_path: Path, url: str | None) -> None:
    database = Database(url or f"sqlite:///{tmp_path / 'by_steps'}")
    database.migrate()
    with database.engine.connect() as connection:
        ignored = {"alembic_version", "alembic_version_pkc"}
        by_steps = {row for row in _catalogue(connection) if not ignored & set(map(str, row))}
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert unguarded(connection) == []
    with database.engine.begin() as connection:
        if url is not None:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        elif connection.dialect.name == "sqlite":
            database = Database(f"sqlite:///{tmp_path / 'by_code'}")
    with database.engine.begin() as connection:
        metadata.create_all(connection)
        by_code = _catalogue(connection)
        assert len(by_code) > 25
        assert by_steps == by_code
        assert len(unguarded(connection)) == len(statements("sqlite"))
    database.close()


@BOTH
def test_a_guard_that_was_taken_away_is_named(desk: Desk) -> None:
    assert complaints(desk) == []
    where = "" if desk.database.sqlite else " ON log"
    execute(desk, f"DROP TRIGGER log_stays_delete{where}")
    (complaint,) = complaints(desk)
    assert "log_stays_delete is missing" in complaint
    desk.database.migrate()  # nothing is to be done: the step was taken
    assert len(complaints(desk)) == 1


@BOTH
def test_a_database_newer_than_the_code_is_refused(desk: Desk) -> None:
    execute(desk, "UPDATE alembic_version SET version_num = 'desk_9999'")
    with pytest.raises(DatabaseNewer, match="desk_9999, which this version"):
        Desk.open(desk.folder)
    with pytest.raises(DatabaseNewer):
        desk.database.migrate()
    output = " ".join(said(desk.folder, "list", code=4).split())
    assert "The database is at step desk_9999" in output
    assert "try: the version of curenu that made it, or a newer one" in output


def test_a_database_without_a_desk_is_told_from_a_newer_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty'}")
    with pytest.raises(BadRequest, match="no desk in this database"):
        database.check()
    database.close()


@BOTH
def test_a_step_that_fails_leaves_nothing(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(url or f"sqlite:///{tmp_path / 'new'}")
    read = Path.read_text

    def broken(path: Path) -> str:
        return read(path) + ("SELECT nothing FROM nowhere;\n" if "guards" in path.name else "")

    monkeypatch.setattr(Path, "read_text", broken)
    with pytest.raises(Exception, match="nowhere|desk:"):
        database.migrate()
    with database.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    monkeypatch.undo()
    database.migrate()
    database.check()
    database.close()
