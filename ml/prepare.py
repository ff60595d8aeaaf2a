"""Stage 3: which labelled rows teach, stop and judge, in time order; the encoder is fitted on the first part only."""

import logging
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import exclusions, features, folds, labels, privacy, reference, snapshot, split, targets
from ml.context import Context
from ml.errors import DataError
from ml.problem import Problem
from ml.records import Decided, Part, Prepared, Validated
from ml.snapshot import ENCODED, ENCODING, PARTS, ROWS
from ml.store import digest
from ml.tables import DAY
from ml.window import Window

log = logging.getLogger(__name__)
GIVEN = ["_key", "_label", "_source", "_at"]  # what of a given label decides about the rows


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
        about.success.reference_share,
        {n: f.model_dump() for n, f in about.features.items()},
    ]
    excluded = exclusions.days(context)
    inputs += [list(map(str, excluded))] if excluded else []
    inputs += [about.problem.classes] if about.problem.classes else []
    start = context.record(Decided).start if context.has(Decided) else None
    inputs += [{"start": str(start)}] if start else []
    period = Window(start or validated.end - timedelta(days=about.split.train_days), validated.end)
    version = context.table("labels").newest
    given = given_for(context, period, version)
    inputs += [given.select(GIVEN).to_pylist()] if given.num_rows else []
    return context.once(
        Prepared,
        inputs,
        lambda: _prepare(context, validated, period, excluded, given).model_copy(update={"labels_version": version}),
    )


def given_for(context: Context, period: Window, version: int | None) -> pa.Table:
    """Labels that people and programs gave by now for rows of a period, those that count; none before the first."""
    start = period.start - timedelta(days=context.problem.source.history_days)
    return labels.winning(context, labels.read(context, start, version=version), context.settings.now())


def labelled(
    context: Context,
    validated: Validated,
    period: Window,
    excluded: tuple[date, ...],
    forgotten: privacy.Forgotten,
    given: pa.Table,
) -> tuple[pa.Table, dict[str, int]]:
    """Labelled rows of a period, and how many others there are: without a label yet, of days that are out, older rows of
    their key.

    Returns: rows with the features, `_key`, `_day`, `_label` and, where the split names one, `_group`.
    """
    about, held = context.problem, context.table("valid").schema()
    absent = [name for name in about.features if name not in held]
    if absent:
        raise DataError(
            f"The validated rows have no column {absent[0]!r}: the problem file has changed since this run read its rows. "
            "Clear from ingest on, or start a new run."
        )
    kept = [*about.features, *(name for name in snapshot.champion_features(context) if name in held)]
    named = [forgotten.column] if forgotten.column in held else []
    source = about.source
    wanted = [source.key, DAY, *source.labels, source.label_time, *kept, *named, *filter(None, [about.split.group])]
    names = dict.fromkeys(wanted)
    held_rows = forgotten.without(context.table("valid").read(period, columns=list(names), version=validated.version))
    rows = exclusions.without(held_rows, excluded)
    newest = newest_per_key(rows, about.source.key)
    newest = labels.overlaid(newest, given, about)
    known = newest.filter(targets.known(newest, about))
    frame = {name: known[name] for name in dict.fromkeys(kept)}
    if about.split.group:  # numbered: what names a person does not stand in frozen rows
        frame["_group"] = _numbered(known[about.split.group].cast(pa.string()), known[about.source.key].cast(pa.string()))
    if given.num_rows:
        frame[labels.SOURCE] = known[labels.SOURCE]
    frame |= {"_key": known[about.source.key].cast(pa.string()), DAY: known[DAY], "_label": targets.column(known, about)}
    return pa.table(frame), {
        "num_unlabelled": newest.num_rows - known.num_rows,
        "num_excluded": held_rows.num_rows - rows.num_rows,
        "num_superseded": rows.num_rows - newest.num_rows,
    }


def _numbered(names: pa.ChunkedArray, keys: pa.ChunkedArray) -> pa.Array:
    """Groups as numbers; a row that names none is a group of its own."""
    alone = pc.binary_join_element_wise("", keys, "\x1f")
    texts = pc.coalesce(names, alone).to_numpy().astype(str)
    return pa.array(np.unique(texts, return_inverse=True)[1].astype(np.int32))


def newest_per_key(rows: pa.Table, key: str) -> pa.Table:
    """One row per key, that of the latest day: an event that was moved stands on its old day too until that is read again.

    Raises: DataError: a row has no key.
    """
    if rows[key].null_count:
        raise DataError(f"{rows[key].null_count} validated rows have no {key}. Give the suite a rule that {key} is not null.")
    ordered = rows.sort_by([(DAY, "ascending")])
    last = ordered.append_column("_at", pa.array(np.arange(rows.num_rows))).group_by(key).aggregate([("_at", "max")])
    return ordered.take(last["_at_max"])


def _prepare(context: Context, validated: Validated, period: Window, excluded: tuple[date, ...], given: pa.Table) -> Prepared:
    snapshot.refuse_to_replace(context)
    forgotten = privacy.forgotten(context.problem, context.store)
    known, others = labelled(context, validated, period, excluded, forgotten, given)
    rows, set_aside = split.split_rows(known, context.problem.split)
    rows = reference.set_aside(rows, context.problem)
    parted = {name: rows.filter(pc.equal(rows["_part"], name)) for name in PARTS}
    for name, part in parted.items():
        targets.refuse_poor(part["_label"], context.problem, name)
    privacy.refuse_if_more(forgotten, context.problem, context.store)
    with context.store.replacing(context.name(ROWS)) as path:
        pq.write_table(rows, path, compression="zstd")
    encoding = features.fit(parted["train"], context.problem.features, timezone=context.problem.source.timezone)
    context.store.write_json(context.name(ENCODING), encoding.model_dump(mode="json"))
    arrays = snapshot.encode(parted, encoding, context.problem)
    with context.store.replacing(context.name(ENCODED)) as path:
        named = {f"{name}.{kind}": array for name, held in arrays.items() for kind, array in held.items()}
        np.savez(path, allow_pickle=False, **named)
    parts = {name: _part(held, context.problem) for name, held in parted.items()}
    told = ", ".join(f"{name} {part.num_rows}" for name, part in parts.items())
    told += "".join(f", {count} set aside for their {why}" for why, count in set_aside.items())
    out = f", {others['num_excluded']} of excluded days are left out" if excluded else ""
    log.info("prepare: %s, %d rows wait for labels%s", told, others["num_unlabelled"], out)
    return Prepared(
        valid_version=validated.version,
        num_given=_num_given(rows),
        excluded=excluded,
        set_aside=set_aside,
        num_folds=sum(1 for _ in folds.of(rows, context.problem.split)),
        rows_digest=digest(context.file(ROWS)),
        **others,
        **parts,
    )


def _num_given(rows: pa.Table) -> dict[str, int]:
    """Rows by whose label they have, beside those with the source's."""
    if labels.SOURCE not in rows.column_names:
        return {}
    counted = pc.value_counts(rows[labels.SOURCE].combine_chunks()).to_pylist()
    return {one["values"]: one["counts"] for one in counted if one["values"] != "source"}


def _part(rows: pa.Table, problem: Problem) -> Part:
    days = pc.min_max(rows[DAY]).as_py()
    found = np.atleast_1d(targets.targets(rows["_label"], problem).mean(axis=0)).tolist()
    means = {} if problem.problem.task == "binary" else dict(zip(problem.outputs, found, strict=True))
    return Part(first=days["min"], last=days["max"], num_rows=rows.num_rows, positive_rate=found[0], means=means)
