"""The tables as SQLAlchemy sees them; the migrations beside this file make them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


class Utc(sa.types.TypeDecorator[datetime]):
    """A moment, in UTC. SQLite forgets the zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """The stored moment with its zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


LEDGER = sa.Table(
    "ledger",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text) for name in ("problem", "kind", "key")),
    sa.Column("version", sa.Integer),
    sa.Column("run_key", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("at", Utc),
    *(sa.Column(name, sa.Text) for name in ("body", "previous", "hash")),
)

WORK = sa.Table(
    "work",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("problem", "kind", "key", "body")),
    sa.Column("asked_at", Utc),
    sa.Column("done_at", Utc),
    sa.Column("outcome", sa.Text),
)
