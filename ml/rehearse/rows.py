"""What is replayed: the rows that callers asked about last, or the run's test rows where there are too few of those."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ml import privacy, requests, snapshot
from ml.context import Context
from ml.requests import Logged

MOST, LEAST = 2_000, 100  # rows that are replayed; with fewer logged ones nothing can be said
Row = dict[str, Any]


@dataclass(frozen=True)
class Columns:
    """What each model takes, by name; `champion` is None when there is none."""

    candidate: frozenset[str]
    champion: frozenset[str] | None

    @property
    def both(self) -> frozenset[str]:
        """What a row must hold to be asked of every model."""
        return self.candidate | (self.champion or frozenset())

    @property
    def added(self) -> tuple[str, ...]:
        """What callers must send from now on."""
        return () if self.champion is None else tuple(sorted(self.candidate - self.champion))

    @property
    def dropped(self) -> tuple[str, ...]:
        """What callers must not send any more."""
        return () if self.champion is None else tuple(sorted(self.champion - self.candidate))


@dataclass(frozen=True)
class Asked:
    """Rows to replay. `logged` says of each how it was answered; empty for test rows."""

    kind: Literal["requests", "test rows"]
    rows: list[Row]
    keys: list[str | None]
    logged: list[Logged]
    why: str = ""
    num_unfit: int = 0


def columns_of(folder: Path) -> frozenset[str]:
    """The columns that a model folder's model takes."""
    return frozenset(json.loads((folder / "model.json").read_text())["features"])


def asked(context: Context, columns: Columns) -> Asked:
    """The newest logged rows that every model can be asked about, else test rows.

    Raises: TransientError: database or store are away. ConfigError: the database refuses us.
    """
    found = requests.newest(context.settings.database_url, context.problem.name, MOST)
    fit = [one for one in found if columns.both <= one.row.keys()]
    if len(fit) >= LEAST:
        kept = privacy.redactor(context.problem, context.store)  # a rule may be younger than the log
        return Asked(
            "requests",
            [kept.row(one.row) for one in fit],
            [kept.value(context.problem.source.key, one.key) for one in fit],
            fit,
            num_unfit=len(found) - len(fit),
        )
    absent = sorted({name for one in found for name in columns.both - one.row.keys()})
    lacking = f", {len(fit)} of them with every column that the models take (absent: {', '.join(absent)})" if absent else ""
    why = f"the request log holds {len(found)} rows{lacking}, and {LEAST} are needed"
    return _test_rows(context, columns, why, num_unfit=len(found) - len(fit))


def only(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> list[Row]:
    """The rows with exactly these columns."""
    names = sorted(columns)
    return [{name: row[name] for name in names} for row in rows]


def _test_rows(context: Context, columns: Columns, why: str, *, num_unfit: int) -> Asked:
    table = snapshot.rows_of(context, "test")
    chosen = table.take(list(range(0, table.num_rows, max(1, math.ceil(table.num_rows / MOST)))))
    held = [name for name in sorted(columns.both) if name in chosen.column_names]
    rows = [{name: _json(value) for name, value in row.items()} for row in chosen.select(held).to_pylist()]
    return Asked("test rows", rows, chosen["_key"].to_pylist(), [], why, num_unfit)


def _json(value: Any) -> Any:
    """A cell as a caller would send it: moments as ISO text, null for what is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
