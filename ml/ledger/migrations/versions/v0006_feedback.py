"""What people and programs told the service about its answers, until it is joined with them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create `feedback`."""
    op.create_table(
        "feedback",
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),  # the same again is the same feedback
        sa.Column("key", sa.Text()),  # of the row it is about, filled in when it is joined
        sa.Column("request_id", sa.Text()),
        sa.Column("position", sa.Integer(), nullable=False),  # of the row in its request, from 0
        sa.Column("verdict", sa.Text()),  # right or wrong, where no label is given
        sa.Column("label", sa.Text()),  # JSON
        sa.Column("source", sa.Text(), nullable=False),  # feedback or outcome
        sa.Column("labeller", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),  # nanoseconds of the wall clock: a replayed one stands still
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("problem", "id"),
    )
