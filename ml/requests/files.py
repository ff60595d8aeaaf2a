"""The request log where the state is kept in SQLite: Parquet files beside it, one a problem and batch, written by a replay.

SQLite serves one process that plays history, not a service with callers, so rows come in whole batches and never twice.
"""

import re
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import sqlalchemy as sa

from ml.errors import ConfigError
from ml.requests.record import SCHEMA

_json = msgspec.json.Encoder().encode
ORDER = [("served_at", "ascending"), ("request_id", "ascending"), ("position", "ascending")]


def append(database_url: str, problem: str, batch: str, rows: pa.Table) -> None:
    """Keep a batch of answered rows, columns as in SCHEMA; the same batch again replaces it.

    Args:
        batch: names the file.
    """
    folder = _folder(database_url, problem)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{batch}.writing"
    pq.write_table(rows.select(SCHEMA.names).cast(SCHEMA), scratch, compression="zstd")
    scratch.replace(folder / f"{batch}.parquet")


def texts(rows: pa.Table) -> list[str]:
    """The column `row` of the log: every row as JSON, its moments as ISO texts in UTC."""
    return [_json(row).decode() for row in rows.to_pylist()]


def read(database_url: str, problem: str, start: datetime, end: datetime, *, rows: bool = True) -> pa.Table:
    """Rows answered from `start` up to, not including, `end`, oldest first; none where nothing was ever logged.

    Args:
        rows: False: without what was asked; `row` is null.
    """
    files = sorted(_folder(database_url, problem).glob("*.parquet"))
    if not files:
        return SCHEMA.empty_table()
    inside = (pc.field("served_at") >= start) & (pc.field("served_at") < end)
    asked = {name: pc.field(name) if rows or name != "row" else pc.scalar(None).cast(pa.string()) for name in SCHEMA.names}
    return ds.dataset(files, schema=SCHEMA).to_table(columns=asked, filter=inside).sort_by(ORDER)


def rows_of(database_url: str, problem: str, answers: pa.Table) -> list[str]:
    """What was asked in some answers that `read` gave without it, as JSON text in their order."""
    wanted = _names(answers)
    if not wanted:
        return []
    times = [name[-1] for name in wanted]
    held = read(database_url, problem, min(times), max(times) + timedelta(microseconds=1))
    texts = dict(zip(_names(held), held["row"].to_pylist(), strict=True))
    return [texts[name] for name in wanted if name in texts]


def _names(answers: pa.Table) -> list[tuple[str, int, str, datetime]]:
    """What names an answer."""
    return list(zip(*(answers[name].to_pylist() for name in ("request_id", "position", "arm", "served_at")), strict=True))


def _folder(database_url: str, problem: str) -> Path:
    held = sa.engine.make_url(database_url).database
    if not held or held == ":memory:" or not re.fullmatch(r"[a-z0-9_]+", problem):
        raise ConfigError("A state in memory keeps no request log. Name a file: sqlite:////folder/state.db.")
    return Path(f"{held}.requests") / problem
