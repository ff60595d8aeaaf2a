"""Rows that people are asked about: chosen from the champion's unlabelled answers, and kept with what made them worth it."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import metrics, requests, snapshot
from ml.context import Context
from ml.feedback import worth
from ml.feedback.task import Batch, Task
from ml.feedback.worth import Floats
from ml.labels import known_labels
from ml.ledger import Champion
from ml.records import Evaluated, Queued
from ml.requests import feedback
from ml.snapshot import LEARNED, ROWS

log = logging.getLogger(__name__)
FOLDER = "labelling"  # of the store: one file per run that chose rows
KEPT_DAYS = 30  # how long a row is asked about
INSTANT = timedelta(microseconds=1)  # a replayed clock stands still while requests come
TOLD = ("text", "category", "zip")


def run(context: Context) -> Queued:
    """Choose rows, once per run.

    Raises: TransientError: the database or the store is away.
    """
    return context.once(Queued, [], lambda: _queue(context))


def batches(context: Context) -> list[Batch]:
    """What people are asked about now, newest first."""
    oldest = context.settings.now() - timedelta(days=KEPT_DAYS)
    found = [Batch.model_validate(context.store.read_json(name)) for name in context.store.names(FOLDER)]
    return sorted((one for one in found if one.made_at >= oldest), key=lambda one: (one.made_at, one.name), reverse=True)


def _queue(context: Context) -> Queued:
    champion = context.ledger.champion(context.problem.name)
    if champion is None:
        return Queued(version=None, num_candidates=0, num_tasks=0, num_audit=0)
    policy, now = context.problem.feedback, context.settings.now()
    rows, others = _candidates(context, champion, now)
    seed = int.from_bytes(context.run_key.encode()[-8:], "big")
    reasons = _reasons(context, champion, rows, others) if rows.num_rows else {}
    # what says how good the model is must be a sample: labels of the rows that look worst would make it look worse
    asked = bool(context.ledger.due(context.problem.name, "label"))
    share = 1.0 if asked else policy.audit_share
    chosen = worth.choose(reasons, rows.num_rows, num=policy.queue_rows, audit_share=share, seed=seed)
    held = rows.to_pylist()
    tasks = tuple(_task(held[one.place], one) for one in chosen)
    batch = Batch(name=context.run_key, made_at=now, version=champion.version, num_candidates=rows.num_rows, tasks=tasks)
    if tasks:
        context.store.write_json(f"{FOLDER}/{context.run_key}.json", batch.model_dump(mode="json"))
    why: dict[str, int] = {}
    for one in chosen:
        why[one.why] = why.get(one.why, 0) + 1
    audit = why.get(worth.AUDIT, 0)
    queued = Queued(
        version=champion.version, num_candidates=rows.num_rows, num_tasks=len(tasks), num_audit=audit, asked=asked, why=why
    )
    log.info("queue: %s", queued.sentence)
    return queued


def _candidates(context: Context, champion: Champion, now: datetime) -> tuple[pa.Table, pa.Table]:
    """The champion's earliest answer to each key of the last days without a label, and what others answered in its shadow."""
    start = now - timedelta(days=context.problem.feedback.queue_days)
    read = requests.read(context.settings.database_url, context.problem.name, start, now + INSTANT, shadow=True)
    arm, version = np.asarray(read["arm"].to_pylist()), read["version"].to_numpy()
    ours = read.filter(pa.array((arm != requests.SHADOW) & (version == champion.version)))
    keyed = ours.filter(ours["key"].is_valid())
    unique, first = np.unique(np.asarray(keyed["key"].to_pylist(), dtype=object).astype(str), return_index=True)
    known = known_labels(context, pa.array(unique.tolist(), pa.string()), start, now)
    asked = {task.key for batch in batches(context) for task in batch.tasks}
    open_ = [place for key, place in zip(unique.tolist(), first.tolist(), strict=True) if key not in known and key not in asked]
    return keyed.take(pa.array(open_, pa.int64())), read.filter(pa.array(arm == requests.SHADOW))


def _reasons(context: Context, champion: Champion, rows: pa.Table, others: pa.Table) -> dict[str, Floats]:
    scores, run = requests.scores_of(rows), context.of_run(champion.run_key)
    wrong = feedback.hints(
        context.settings.database_url, context.problem.name, datetime.min.replace(tzinfo=context.settings.now().tzinfo)
    )
    found = {"called wrong": np.asarray([key in wrong for key in rows["key"].to_pylist()], dtype=np.float64)}
    if context.problem.task.label != "number" and context.problem.problem.task != "multilabel":
        found["uncertain"] = worth.uncertainty(scores, _threshold(run))
    found["models disagree"] = worth.disagreement(scores, _answered_by_others(rows, others, scores))
    texts = [json.loads(text) for text in rows["row"].to_pylist()]
    if run.store.exists(run.name(ROWS)):
        found["new to the model"] = _newness(run, texts)
    if run.has(Evaluated):
        found["badly served slice"] = _badly_served(run.record(Evaluated), context.problem.success.metric, texts)
    return found


def _threshold(run: Context) -> float:
    name = f"{snapshot.model_name(run.run_key)}/model.json"
    thresholds = list(run.store.read_json(name).get("thresholds", [])) if run.store.exists(name) else []
    return float(thresholds[0]) if len(thresholds) == 1 else 0.5


def _answered_by_others(rows: pa.Table, others: pa.Table, scores: Floats) -> Floats:
    """Scores of a challenger for the same rows, NaN where it gave none."""
    found = np.full_like(scores, np.nan)
    theirs = requests.scores_of(others)
    if not others.num_rows or theirs[0].size != scores[0].size:
        return found
    named = zip(others["request_id"].to_pylist(), others["position"].to_pylist(), strict=True)
    places = {one: place for place, one in enumerate(named)}
    for place, one in enumerate(zip(rows["request_id"].to_pylist(), rows["position"].to_pylist(), strict=True)):
        if one in places:
            found[place] = theirs[places[one]]
    return found


def _newness(run: Context, texts: list[dict[str, Any]]) -> Floats:
    """Of the features that both sides have; times are no news, they always move on."""
    held = pq.read_schema(run.file(ROWS)).names
    kinds = {
        name: one.type for name, one in run.problem.features.items() if name in held and one.type not in ("datetime", "text")
    }
    learned = pq.read_table(run.file(ROWS), columns=list(kinds), filters=[("_part", "in", LEARNED)])
    columns = {name: requests.typed([one.get(name) for one in texts], kind) for name, kind in kinds.items()}
    return worth.newness(pa.table(columns), learned.cast(pa.schema([(name, column.type) for name, column in columns.items()])))


def _badly_served(evaluated: Evaluated, metric: str, texts: list[dict[str, Any]]) -> Floats:
    """How much worse than on all rows the champion was on the slices of a row, metric units."""
    whole, sign = evaluated.candidate.metrics[metric].value, metrics.better(metric)
    lost = {name: sign * (whole - one.value) for name, one in evaluated.candidate.slices.items()}
    worst = [max((lost.get(f"{name}={value}", 0.0) for name, value in one.items()), default=0.0) for one in texts]
    return np.nan_to_num(np.asarray(worst, dtype=np.float64))


def _task(row: dict[str, Any], chosen: worth.Chosen) -> Task:
    answer = requests.record.answer_of(row["score"], row["decision"], row["several"])
    return Task(
        key=row["key"],
        request_id=row["request_id"],
        position=row["position"],
        served_at=cast(datetime, row["served_at"]),
        row=json.loads(row["row"]),
        answer=answer,
        why=chosen.why,
        probability=chosen.probability,
    )
