"""The first schema: all tables, and the triggers that guard them, as they were when it was frozen.

Nothing here is made from the code as it is today: a later schema is a later step.
"""

from pathlib import Path

from alembic import op

revision = "desk_0001"
down_revision = None


def upgrade() -> None:
    """Make tables and triggers; in the files an empty line stands between two statements."""
    connection = op.get_bind()
    folder = Path(__file__).parents[1]
    for part in ("tables", "guards"):
        text = (folder / f"{revision}.{part}.{connection.dialect.name}.sql").read_text()
        for statement in text.split(";\n\n"):
            connection.exec_driver_sql(statement.removesuffix(";\n"))
