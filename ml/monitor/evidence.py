"""What the monitor looks at: requests of a window, the champion's own rows and scores, and labels known by now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import requests, snapshot, targets
from ml.context import Context
from ml.drift import Days
from ml.errors import ConfigError, DataError
from ml.ledger import Champion
from ml.monitor.answers import Labelled, labelled
from ml.monitor.sample import choose, span
from ml.monitor.skew import Compared, compared
from ml.problem import Feature
from ml.records import Evaluated, Interval
from ml.snapshot import LEARNED, ROWS, SCORES
from ml.tables import ARROW_TYPES, DAY
from ml.window import Window, local_day

Floats = npt.NDArray[np.float64]
LEARNED_ROWS = 100_000  # of the champion's rows: what days are worth is learned from some hundred rows of each of many days


@dataclass(frozen=True)
class Truth:
    """The rows of the champion's evaluation: scores and labels, shapes (n,) or (n, k), and the day of each, shape (n,)."""

    scores: Floats
    labels: Floats
    days: npt.NDArray[Any]
    columns: dict[str, pa.ChunkedArray]  # of numbers only: what was asked, in the same order


@dataclass(frozen=True)
class Reference:
    """What the champion was made from: a sample of its training rows, its scores in the evaluation, and their quality.

    `days` and `score_days` are the days of the rows and of the scores, shapes (n,); None where they were not kept.
    """

    columns: dict[str, pa.ChunkedArray]
    scores: Floats
    promised: dict[str, Interval]
    days: Days | None = None
    score_days: Days | None = None
    evaluated: Evaluated | None = None
    tested: Truth | None = None


@dataclass(frozen=True)
class Evidence:
    """One window of one champion, about its `day`. `absent` says of a column why it cannot be compared, `carried` the
    share of requests that hold it.
    """

    num_requests: int
    num_others: int
    columns: dict[str, pa.ChunkedArray]
    scores: Floats
    absent: dict[str, str]
    reference: Reference
    labelled: Labelled
    day: date | None = None
    carried: dict[str, float] = field(default_factory=dict)
    skew: dict[str, Compared] = field(default_factory=dict)  # answers held against the table, by column


@dataclass(frozen=True)
class Look:
    """Which requests are looked at, and by when labels must have been known; `named`: also of which answers, by a person."""

    requests: tuple[datetime, datetime]
    known_by: datetime
    named: tuple[datetime, datetime] | None = None


def look_at(context: Context, moment: datetime) -> Look:
    """What a run looks at that stands at a moment; in a window that somebody names, all that is known of it by now.

    Raises: ConfigError: nothing can have been asked in that window yet.
    """
    if context.window is None:
        return Look(span(moment, context.problem.drift.window_days), moment)
    named, now = Window.parse(context.window).instants(context.problem.source.timezone), context.settings.now()
    if named[0] > now:
        raise ConfigError(f"Window {context.window} begins after {now:%Y-%m-%d %H:%M %Z}, so nothing was asked in it yet.")
    return Look(named, max(now, moment), named)


def gather(context: Context, champion: Champion, moment: datetime) -> Evidence:
    """Read everything that speaks for or against the champion at a moment.

    Raises:
        DataError: the champion's run folder lacks a file, or the champion answers another question than is asked now.
        TransientError: the database is away.
    """
    problem, policy = context.problem, context.problem.drift
    if other := snapshot.other_question(context.of_run(champion.run_key)):
        raise DataError(f"champion {champion.version} cannot be held against its promise: {other}")
    look = look_at(context, moment)
    served = requests.read(context.settings.database_url, problem.name, *look.requests, rows=False)
    ours = _answered_by(served, champion)
    sample = ours.take(choose(ours.num_rows))
    texts = requests.rows_of(context.settings.database_url, problem.name, sample)
    columns, absent = typed_rows(texts, problem.features, least=min(policy.minimum_rows, len(texts)))
    reference = read_reference(context.of_run(champion.run_key))
    strange = {name: "the champion was made without it" for name in problem.features if name not in reference.columns}
    known = labelled(context, champion, look.known_by, window=look.named)
    return Evidence(
        num_requests=ours.num_rows,
        num_others=served.num_rows - ours.num_rows,
        columns=columns,
        scores=requests.scores_of(sample),
        absent=absent | strange,
        reference=reference,
        labelled=known,
        day=local_day(look.requests[1] - timedelta(hours=12), problem.source.timezone),
        carried=carried(texts, problem.features),
        skew=compared(context, known),
    )


def typed_rows(
    texts: Iterable[str], features: Mapping[str, Feature], *, least: int = 1
) -> tuple[dict[str, pa.ChunkedArray], dict[str, str]]:
    """Columns of logged rows (JSON objects), each with the rows that hold it, and why a column cannot be compared.

    A row served before a feature was added does not hold it: that is no missing value, so it is left out.

    Args:
        least: with fewer rows that hold a column it cannot be compared.
    """
    rows = [json.loads(text) for text in texts]
    columns: dict[str, pa.ChunkedArray] = {}
    absent: dict[str, str] = {}
    for name, feature in features.items():
        held = [row[name] for row in rows if name in row]
        if len(held) < max(least, 1):
            absent[name] = f"only {len(held)} of {len(rows)} requests hold it"
            continue
        try:
            columns[name] = pa.chunked_array([requests.typed(held, feature.type)])
        except ValueError as error:
            absent[name] = f"requests hold values that are no {feature.type} ({error})"
    return columns, absent


def read_reference(champion: Context) -> Reference:
    """The champion's own rows, scores and promised quality.

    Args:
        champion: a context whose run is the one that made the champion.
    Raises: DataError: a file is missing or cannot be read as the problem's types.
    """
    for name in map(champion.name, (ROWS, SCORES)):
        if not champion.store.exists(name):
            raise DataError(
                f"{champion.store.location(name)} is missing: there is nothing to compare with. Restore the champion's run "
                "folder, or retrain."
            )
    rows, scores = champion.file(ROWS), champion.file(SCORES)
    evaluated = champion.record(Evaluated)
    names = [name for name in ("candidate", DAY) if name in pq.read_schema(scores).names]
    scored = pq.read_table(scores, columns=names)
    scored = scored.take(choose(scored.num_rows))
    columns, days = _learned(rows, champion.problem.features)
    return Reference(
        columns=columns,
        scores=_floats(scored["candidate"]),
        promised=evaluated.candidate.metrics,
        days=days,
        score_days=_days(scored),
        evaluated=evaluated,
        tested=_tested(champion, rows, scores),
    )


def carried(texts: Iterable[str], features: Mapping[str, Feature]) -> dict[str, float]:
    """Share of logged rows that hold a column, whatever its value."""
    rows = [json.loads(text) for text in texts]
    return {name: sum(name in row for row in rows) / max(len(rows), 1) for name in features}


def _days(rows: pa.Table) -> Days | None:
    return rows[DAY].to_numpy().astype("datetime64[D]") if DAY in rows.column_names else None


def _answered_by(served: pa.Table, champion: Champion) -> pa.Table:
    return served.filter(pc.equal(served["version"], champion.version))


def _learned(path: Path, features: Mapping[str, Feature]) -> tuple[dict[str, pa.ChunkedArray], Days | None]:
    """A sample of the rows that taught and stopped the training; batch by batch, so memory does not grow with the file."""
    parts = pq.read_table(path, columns=["_part"])["_part"]
    eligible = np.flatnonzero(pc.is_in(parts, pa.array(LEARNED)).to_numpy())
    chosen = eligible[choose(len(eligible), LEARNED_ROWS)]
    batches, first = [], 0
    with pq.ParquetFile(path) as file:
        names = [name for name in (DAY, *features) if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=["_part", *names]):
            inside = chosen[(chosen >= first) & (chosen < first + batch.num_rows)] - first
            batches.append(batch.take(pa.array(inside)))
            first += batch.num_rows
        schema = pa.schema([file.schema_arrow.field(name) for name in ("_part", *names)])
    rows = pa.Table.from_batches([batch.select(schema.names) for batch in batches])
    try:
        return {name: rows[name].cast(ARROW_TYPES[features[name].type]) for name in names if name != DAY}, _days(rows)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} does not fit the types in the problem file ({error}). Retrain under the new types.") from error


def _tested(champion: Context, rows: Path, scores: Path) -> Truth | None:
    """The evaluation's rows with their days; None of an evaluation that kept none. Numbers also need what was asked."""
    names = pq.read_schema(scores).names
    if DAY not in names or "_label" not in names:
        return None
    held = pq.read_table(scores, columns=["candidate", "_label", DAY])
    kept = choose(held.num_rows)
    columns: dict[str, pa.ChunkedArray] = {}
    if champion.problem.task.label == "number":
        asked = pq.read_table(rows, filters=[("_part", "=", "test")])
        known = [name for name in champion.problem.features if name in asked.column_names]
        columns = {name: asked[name].take(kept) for name in known} if asked.num_rows == held.num_rows else {}
    found = held.take(kept)
    return Truth(
        _floats(found["candidate"]),
        targets.targets(found["_label"], champion.problem),
        np.asarray(found[DAY].cast(pa.string()).to_pylist(), dtype=str),
        columns,
    )


def _floats(column: pa.ChunkedArray) -> Floats:
    """Scores of a file: numbers, or a list of them per row."""
    several = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    return np.asarray(column.to_pylist() if several else column.to_numpy(), dtype=np.float64)
