"""The request log by day, with the arm that answered; API keys of clients."""

from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
COLUMNS = "request_id, position, problem, version, served_at, key, score, decision, row, several"


def upgrade() -> None:
    """Move the rows of `request_log` into partitions, a day of UTC each; add `arm` and the table `api_key`."""
    before = "request_log_before"
    op.rename_table("request_log", before)
    op.drop_index("request_log_served_at", table_name=before)
    op.create_table(
        "request_log",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),  # of the row in its request, from 0
        sa.Column("arm", sa.Text(), nullable=False, server_default="champion"),  # or challenger, or shadow: nobody got it
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("score", sa.Double()),
        sa.Column("decision", sa.Boolean()),
        sa.Column("several", sa.Text()),
        sa.Column("row", sa.Text(), nullable=False),  # JSON
        # served_at only because PostgreSQL wants the column of the partitions in it: a request has one
        sa.PrimaryKeyConstraint("request_id", "position", "arm", "served_at", name="request_log_once"),
        postgresql_partition_by="RANGE (served_at)",
    )
    op.create_index("request_log_served_at", "request_log", ["problem", "served_at"])
    if op.get_bind().dialect.name == "postgresql":
        _make_days(before)
    op.execute(f"INSERT INTO request_log ({COLUMNS}) SELECT {COLUMNS} FROM {before}")  # noqa: S608  # ours  # nosec B608
    op.drop_table(before)
    _make_keys()


def _make_days(before: str) -> None:
    days = op.get_bind().execute(sa.text(f"SELECT DISTINCT (served_at AT TIME ZONE 'UTC')::date FROM {before}"))  # noqa: S608  # ours  # nosec B608
    for (day,) in days.fetchall():
        op.execute(
            f"CREATE TABLE request_log_{day:%Y%m%d} PARTITION OF request_log"
            f" FOR VALUES FROM ('{_midnight(day)}') TO ('{_midnight(day + timedelta(days=1))}')"
        )


def _midnight(day: date) -> str:
    return f"{day} 00:00:00+00"


def _make_keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), primary_key=True),  # the part of the key that everybody may see
        sa.Column("digest", sa.Text(), nullable=False, unique=True),  # sha256 of the key
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),  # separated by blanks
        sa.Column("per_minute", sa.Integer()),  # requests; no limit when null
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_by", sa.Text()),
    )
