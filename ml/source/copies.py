"""One `COPY … TO STDOUT`, in PostgreSQL's binary format, as Arrow: by ADBC, which holds no Python lock while it reads."""

from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any

import pyarrow as pa

from ml.database import AWAY
from ml.errors import DataError, EvergreenError, TransientError

BYTES = 6 * 2**20  # of rows that come at once
SESSION = (  # whatever the server's or the role's defaults are
    "SET client_encoding = 'UTF8'",
    "SET TIME ZONE 'UTC'",
    "SET datestyle = 'ISO'",
    "SET extra_float_digits = 1",
    "SET synchronize_seqscans = off",
    "SET max_parallel_workers_per_gather = 0",
    "SET statement_timeout = 0",  # how long COPY takes depends on how fast rows are taken
    "SET idle_in_transaction_session_timeout = 0",  # the one that holds the snapshot waits for the others
    "SET lock_timeout = '10s'",  # an ALTER TABLE between two of our connections waits for one and stops the other: for ever
)


class Copy:
    """The rows of a query as they were at the moment of an exported snapshot, over a connection of its own."""

    def __init__(self, url: str, snapshot: str, query: str, table: str) -> None:
        """`url` as libpq takes it; `table` is named in errors."""
        self._url, self._query, self._table = url, query, table
        self._snapshot = snapshot.replace("'", "''")
        self._cursor: Any = None

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """Record batches of about `BYTES`; a longer row comes alone.

        Raises:
            DataError: PostgreSQL cannot compute the rows, such as those of a view that divides by zero.
            TransientError: the connection is lost, or none is to be had.
        """
        from adbc_driver_manager._reader import AdbcRecordBatchReader
        from adbc_driver_postgresql import StatementOptions, dbapi

        options = {StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BYTES)}
        try:
            with dbapi.connect(self._url, autocommit=True) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                for statement in (f"SET TRANSACTION SNAPSHOT '{self._snapshot}'", *SESSION):  # the snapshot must come first
                    cursor.execute(statement)
                self._cursor = cursor
                cursor.execute(self._query)
                stream = cursor.fetch_arrow()
                with closing(AdbcRecordBatchReader._import_from_c(stream.address)) as reader:  # its errors have an SQLSTATE
                    yield from reader
        except (dbapi.Error, OSError, pa.ArrowException) as error:
            raise self._told(error) from error
        finally:
            self._cursor = None

    def cancel(self) -> None:
        """Make the server stop; may be called from another thread, at any time."""
        from adbc_driver_manager import dbapi

        if (cursor := self._cursor) is not None:
            with suppress(dbapi.Error, OSError):  # it may have ended meanwhile, or the server has
                cursor.adbc_cancel()

    def _told(self, error: Exception) -> EvergreenError:
        told, code = " ".join(str(error).partition("Query was:")[0].split()), getattr(error, "sqlstate", None) or ""
        if code.startswith(AWAY) or ("ERROR:" not in told and not code):  # a connection ends with FATAL or with libpq's own words
            return TransientError(f"PostgreSQL stopped reading: {told}.{_hint(told)} Run this again; nothing was written.")
        return DataError(f"PostgreSQL cannot read table {self._table}: {told}. Mend the table or view.")


def _hint(told: str) -> str:
    return " Ingest takes one connection more than [source] streams says." if "too many" in told else ""
