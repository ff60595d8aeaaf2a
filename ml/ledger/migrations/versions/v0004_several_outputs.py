"""Answers of models with several outputs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add `several`: scores by name and decision as JSON. Such answers have no yes or no, and numbers have no decision."""
    with op.batch_alter_table("request_log") as table:  # SQLite knows no ALTER COLUMN
        table.add_column(sa.Column("several", sa.Text()))
        table.alter_column("score", existing_type=sa.Double(), nullable=True)
        table.alter_column("decision", existing_type=sa.Boolean(), nullable=True)
