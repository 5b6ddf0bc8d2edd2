"""The first schema: all tables, and the triggers that guard them."""

from alembic import op

from curenu.desk.guards import statements
from curenu.desk.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make tables and triggers."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
