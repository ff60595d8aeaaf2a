"""Stage 3: which labelled rows teach, stop and judge, in time order; the encoder is fitted on the first part only."""

import logging
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import exclusions, features, privacy, snapshot, targets
from ml.context import Context
from ml.errors import DataError
from ml.features import Encoding, encoder
from ml.problem import Problem, Split
from ml.records import Part, Prepared, Validated
from ml.snapshot import ENCODED, ENCODING, PARTS, ROWS
from ml.store import digest
from ml.tables import DAY
from ml.window import Window

log = logging.getLogger(__name__)


def run(context: Context) -> Prepared:
    """Freeze the rows of the run and encode them once.

    Raises: DataError: too few labelled rows, a class missing in a part, or a key in two parts.
    """
    validated = context.record(Validated)
    about = context.problem
    inputs: list[Any] = [
        validated.version,
        str(validated.end),
        about.source.model_dump(),
        about.split.model_dump(),
        {n: f.model_dump() for n, f in about.features.items()},
    ]
    excluded = exclusions.days(context)
    inputs += [list(map(str, excluded))] if excluded else []
    return context.once(Prepared, inputs, lambda: _prepare(context, validated, excluded))


def parts_by_day(days: list[date], split: Split) -> dict[str, tuple[date, date]]:
    """First and last day of each part: the newest days judge, those before stop the training, the rest teaches.

    Args:
        days: days that have labels, sorted.
    Raises: DataError: not one day is left to learn from.
    """
    needed = split.test_days + split.validation_days + 1
    if not days or (days[-1] - days[0]).days + 1 < needed:
        raise DataError(
            f"Labels are known for {len(days)} days ({days[0] if days else '-'} to {days[-1] if days else '-'}), but the split "
            f"needs {needed}: [split] test_days + validation_days + 1. Wait, widen [source] history_days, or shorten the parts."
        )
    test = days[-1] - timedelta(days=split.test_days - 1)
    validation = test - timedelta(days=split.validation_days)
    return {
        "train": (days[0], validation - timedelta(days=1)),
        "validation": (validation, test - timedelta(days=1)),
        "test": (test, days[-1]),
    }


def split_rows(rows: pa.Table, split: Split) -> pa.Table:
    """Give every labelled row its part.

    Args:
        rows: labelled rows with `_key`, `_day`, `_label`.
    Returns: the same rows with `_part`, sorted by day and key.
    Raises: DataError: see `run`.
    """
    days = sorted(date.fromisoformat(day) for day in pc.unique(rows[DAY]).to_pylist())
    bounds = parts_by_day(days, split)
    day = np.asarray(rows[DAY].to_pylist(), dtype=str)
    part = np.full(rows.num_rows, "train", dtype=object)
    part[day >= str(bounds["validation"][0])] = "validation"
    part[day >= str(bounds["test"][0])] = "test"
    parted = rows.append_column("_part", pa.array(part, pa.string())).sort_by([(DAY, "ascending"), ("_key", "ascending")])
    _refuse_shared_keys(parted)
    for name in PARTS:
        _refuse_thin(parted.filter(pc.equal(parted["_part"], name)), name, split)
    return parted


def _refuse_shared_keys(rows: pa.Table) -> None:
    seen = rows.group_by("_key").aggregate([("_part", "count_distinct")])
    shared = seen.filter(pc.greater(seen["_part_count_distinct"], 1))["_key"].to_pylist()
    if shared:
        raise DataError(
            f"{len(shared)} keys stand in more than one part of the split, such as {shared[:3]}: the test would know what "
            "training saw. A key must name one row; mend [source] key, or the source where it repeats."
        )


def _refuse_thin(rows: pa.Table, name: str, split: Split) -> None:
    if rows.num_rows < split.minimum_rows:
        raise DataError(
            f"The {name} part has {rows.num_rows} labelled rows, fewer than [split] minimum_rows = {split.minimum_rows}. "
            "Wait for more labels, lengthen that part, or lower the limit."
        )


def _labelled(
    context: Context, validated: Validated, excluded: tuple[date, ...], forgotten: privacy.Forgotten
) -> tuple[pa.Table, dict[str, int]]:
    """Labelled rows of the longest memory, and how many others there are: without a label yet, of days that are out, older
    rows of their key.
    """
    about, held = context.problem, context.table("valid").schema()
    period = Window(validated.end - timedelta(days=about.split.train_days), validated.end)
    absent = [name for name in about.features if name not in held]
    if absent:
        raise DataError(
            f"The validated rows have no column {absent[0]!r}: the problem file has changed since this run read its rows. "
            "Clear from ingest on, or start a new run."
        )
    kept = [*about.features, *(name for name in snapshot.champion_features(context) if name in held)]
    named = [forgotten.column] if forgotten.column in held else []
    names = dict.fromkeys([about.source.key, DAY, *about.source.labels, *kept, *named])
    held_rows = forgotten.without(context.table("valid").read(period, columns=list(names), version=validated.version))
    rows = exclusions.without(held_rows, excluded)
    newest = newest_per_key(rows, about.source.key)
    known = newest.filter(targets.known(newest, about))
    frame = {name: known[name] for name in dict.fromkeys(kept)}
    frame |= {"_key": known[about.source.key].cast(pa.string()), DAY: known[DAY], "_label": targets.column(known, about)}
    return pa.table(frame), {
        "num_unlabelled": newest.num_rows - known.num_rows,
        "num_excluded": held_rows.num_rows - rows.num_rows,
        "num_superseded": rows.num_rows - newest.num_rows,
    }


def newest_per_key(rows: pa.Table, key: str) -> pa.Table:
    """One row per key, that of the latest day: an event that was moved stands on its old day too until that is read again.

    Raises: DataError: a row has no key.
    """
    if rows[key].null_count:
        raise DataError(f"{rows[key].null_count} validated rows have no {key}. Give the suite a rule that {key} is not null.")
    ordered = rows.sort_by([(DAY, "ascending")])
    last = ordered.append_column("_at", pa.array(np.arange(rows.num_rows))).group_by(key).aggregate([("_at", "max")])
    return ordered.take(last["_at_max"])


def _prepare(context: Context, validated: Validated, excluded: tuple[date, ...]) -> Prepared:
    snapshot.refuse_to_replace(context)
    forgotten = privacy.forgotten(context.problem, context.store)
    labelled, others = _labelled(context, validated, excluded, forgotten)
    rows = split_rows(labelled, context.problem.split)
    for name in PARTS:
        targets.refuse_poor(rows.filter(pc.equal(rows["_part"], name))["_label"], context.problem, name)
    privacy.refuse_if_more(forgotten, context.problem, context.store)
    with context.store.replacing(context.name(ROWS)) as path:
        pq.write_table(rows, path, compression="zstd")
    train = rows.filter(pc.equal(rows["_part"], "train"))
    encoding = features.fit(train, context.problem.features, timezone=context.problem.source.timezone)
    context.store.write_json(context.name(ENCODING), encoding.model_dump(mode="json"))
    _encode(context, rows, encoding)
    parts = {name: _part(rows.filter(pc.equal(rows["_part"], name)), context.problem) for name in PARTS}
    told = ", ".join(f"{name} {part.num_rows}" for name, part in parts.items())
    out = f", {others['num_excluded']} of excluded days are left out" if excluded else ""
    log.info("prepare: %s, %d rows wait for labels%s", told, others["num_unlabelled"], out)
    return Prepared(
        valid_version=validated.version,
        excluded=excluded,
        rows_digest=digest(context.file(ROWS)),
        **others,
        **parts,
    )


def _encode(context: Context, rows: pa.Table, encoding: Encoding) -> None:
    module, problem = encoder.build(encoding), context.problem
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in PARTS:
        part = rows.filter(pc.equal(rows["_part"], name))
        packed = encoder.encode(module, features.inputs(part, encoding.features, timezone=encoding.timezone))
        arrays |= {f"{name}.{kind}": array for kind, array in packed.items()}
        arrays[f"{name}.label"] = targets.targets(part["_label"], problem).astype(np.float32)
    with context.store.replacing(context.name(ENCODED)) as path:
        np.savez(path, allow_pickle=False, **arrays)


def _part(rows: pa.Table, problem: Problem) -> Part:
    days = pc.min_max(rows[DAY]).as_py()
    found = np.atleast_1d(targets.targets(rows["_label"], problem).mean(axis=0)).tolist()
    means = {} if problem.problem.task == "binary" else dict(zip(problem.outputs, found, strict=True))
    return Part(first=days["min"], last=days["max"], num_rows=rows.num_rows, positive_rate=found[0], means=means)
