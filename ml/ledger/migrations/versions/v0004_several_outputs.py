"""Answers of models with several outputs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add `scores`, a JSON list where there are several; such answers have no single decision, and numbers have none."""
    op.add_column("request_log", sa.Column("scores", sa.Text()))
    op.alter_column("request_log", "score", nullable=True)
    op.alter_column("request_log", "decision", nullable=True)
