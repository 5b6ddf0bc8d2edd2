"""The durable worker on each database; its own tables hold batch ids and words."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from curenu.desk.home import Desk
from curenu.desk.worker import work
from tests.desk.desks import approved


@pytest.mark.slow
def test_a_worker_runs_a_due_batch_and_its_tables_name_nobody(desk: Desk) -> None:
    approved(desk, 3)
    ((_, status),) = list(work(desk, once=True))
    assert status in ("rejected", "awaiting_release")  # some figures need more than 24 examples
    sqlite = f"sqlite:///{desk.folder / 'workflows.sqlite'}"
    engine = sa.create_engine(sqlite if desk.database.sqlite else desk.database.url)
    schema = None if desk.database.sqlite else "dbos"
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names(schema)
        assert "workflow_status" in tables
        for table in tables:
            place = f'"{table}"' if schema is None else f'"{schema}"."{table}"'
            rows = connection.exec_driver_sql(f"SELECT * FROM {place}").all()
            assert "canary" not in repr(rows), table
    engine.dispose()
