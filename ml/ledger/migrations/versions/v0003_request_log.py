"""Every prediction that was served, with the row it was asked about."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create `request_log`; monitoring reads it by problem and span of time."""
    op.create_table(
        "request_log",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),  # of the row in its request, from 0
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("decision", sa.Boolean(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),  # JSON
        sa.PrimaryKeyConstraint("request_id", "position"),
    )
    op.create_index("request_log_served_at", "request_log", ["problem", "served_at"])
