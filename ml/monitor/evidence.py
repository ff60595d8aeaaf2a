"""What the monitor looks at: requests of a window, the champion's own rows and scores, and labels known by now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import requests, snapshot
from ml.context import Context
from ml.drift import Days
from ml.errors import DataError
from ml.labels import known_labels
from ml.ledger import Champion
from ml.problem import Feature
from ml.records import Evaluated, Interval
from ml.snapshot import LEARNED, ROWS, SCORES
from ml.tables import ARROW_TYPES, DAY

Floats = npt.NDArray[np.float64]
MOST = 20_000  # rows of a sample: more decide nothing that these do not
LEARNED_ROWS = 100_000  # of the champion's rows: what days are worth is learned from some hundred rows of each of many days
SEED = 0  # the same rows give the same sample
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Labelled:
    """Answers whose truth is known by now, one per key: `scores` and `labels`, shapes (n,), (n, k) with several outputs."""

    scores: Floats
    labels: Floats
    num_repeated: int
    num_keyless: int
    num_waiting: int
    valid_version: int | None = None  # of the table that the labels are from


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


@dataclass(frozen=True)
class Evidence:
    """One window of one champion, about its `day`. `absent` says of a column why it cannot be compared."""

    num_requests: int
    num_others: int
    columns: dict[str, pa.ChunkedArray]
    scores: Floats
    absent: dict[str, str]
    reference: Reference
    labelled: Labelled
    day: date | None = None


def span(moment: datetime, days: int) -> tuple[datetime, datetime]:
    """Half-open span of `days` that ends with, and holds, the moment: a replayed clock stands still while requests come."""
    return moment - timedelta(days=days) + INSTANT, moment + INSTANT


def gather(context: Context, champion: Champion, moment: datetime) -> Evidence:
    """Read everything that speaks for or against the champion at a moment.

    Raises:
        DataError: the champion's run folder lacks a file, or the champion answers another question than is asked now.
        TransientError: the database is away.
    """
    problem, policy = context.problem, context.problem.drift
    if other := snapshot.other_question(context.of_run(champion.run_key)):
        raise DataError(f"champion {champion.version} cannot be held against its promise: {other}")
    start, end = span(moment, policy.window_days)
    served = requests.read(context.settings.database_url, problem.name, start, end)
    ours = _answered_by(served, champion)
    texts = ours["row"].take(choose(ours.num_rows)).to_pylist()
    columns, absent = typed_rows(texts, problem.features, least=min(policy.minimum_rows, len(texts)))
    reference = read_reference(context.of_run(champion.run_key))
    strange = {name: "the champion was made without it" for name in problem.features if name not in reference.columns}
    return Evidence(
        num_requests=ours.num_rows,
        num_others=served.num_rows - ours.num_rows,
        columns=columns,
        scores=requests.scores_of(ours.take(choose(ours.num_rows))),
        absent=absent | strange,
        reference=reference,
        labelled=_labelled(context, champion, moment),
        day=(end - timedelta(hours=12)).astimezone(ZoneInfo(problem.source.timezone)).date(),
    )


def choose(size: int, most: int = MOST) -> npt.NDArray[np.int64]:
    """Row numbers of a fixed-seed sample without replacement, sorted; all rows when there are at most `most`."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(SEED).choice(size, most, replace=False))


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
    )


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


def _labelled(context: Context, champion: Champion, moment: datetime) -> Labelled:
    """Answers of the champion joined with labels known at the moment, each key once: its earliest answer."""
    start, end = span(moment, context.problem.drift.label_days)
    served = _answered_by(requests.read(context.settings.database_url, context.problem.name, start, end), champion)
    keyed = served.filter(pc.is_valid(served["key"]))
    keys = np.asarray(keyed["key"].to_pylist(), dtype=object).astype(str)
    unique, first = np.unique(keys, return_index=True)
    table = context.table("valid")
    version = table.version if table.exists else None
    known = known_labels(context, pa.array(unique.tolist(), pa.string()), start, moment, version=version)
    joined = [(place, known[key]) for key, place in zip(unique.tolist(), first.tolist(), strict=True) if key in known]
    places = np.asarray([place for place, _ in joined], dtype=np.int64)
    return Labelled(
        scores=requests.scores_of(keyed.take(places)),
        labels=np.asarray([label for _, label in joined], dtype=np.float64),
        num_repeated=keyed.num_rows - len(unique),
        num_keyless=served.num_rows - keyed.num_rows,
        num_waiting=len(unique) - len(joined),
        valid_version=version,
    )


def _floats(column: pa.ChunkedArray) -> Floats:
    """Scores of a file: numbers, or a list of them per row."""
    several = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    return np.asarray(column.to_pylist() if several else column.to_numpy(), dtype=np.float64)
