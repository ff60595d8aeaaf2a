"""The stage: score every model on the run's test rows and the reference rows; write the evaluation, the scores and the plots."""

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import exclusions, reference, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.evaluate import plots
from ml.evaluate.compare import compare
from ml.evaluate.effects import effects_of
from ml.evaluate.gallery import examples_of
from ml.evaluate.models import CANDIDATE, CHAMPION, Champion, Judged
from ml.evaluate.seen import num_seen
from ml.ledger import Champion as Serving
from ml.metrics import Floats
from ml.records import Evaluated, Prepared, Scores, Trained
from ml.records import Reference as OnReference
from ml.scoring import Scorer
from ml.snapshot import BASELINES, EXAMPLES, LEARNED, PLOTS, ROWS, SCORES
from ml.tables import DAY

log = logging.getLogger(__name__)
JUDGED = "judged"  # kind of ledger entry: these test rows were used for this model
MEGABYTE = 1_000_000
Taught = Callable[[Context, pa.Table], str]
Load = Callable[[Path], Scorer]


def run(context: Context) -> Evaluated:
    """Compare candidate, champion and baselines on the test part of the run.

    A champion that cannot be scored does not stop the stage: the record says why, and the gate cannot promote.
    """
    prepared, trained = context.record(Prepared), context.record(Trained)
    serving = context.ledger.champion(context.problem.name)
    if serving and serving.run_key == context.run_key:  # cleared after its own promotion: never judged against itself
        return context.record(Evaluated)
    about = context.problem
    policy = [about.success.model_dump(), about.gate.model_dump()]
    inputs = [prepared.rows_digest, trained.model_digest, serving.version if serving else None, policy]
    return context.once(Evaluated, inputs, lambda: _evaluate(context, prepared, trained, serving))


def _evaluate(context: Context, prepared: Prepared, trained: Trained, serving: Serving | None) -> Evaluated:
    _refuse_excluded(context, prepared)
    candidate = Scorer.load(snapshot.model_of(context.store, context.run_key, trained.model_digest))
    rows = snapshot.rows_of(context, "test")
    load = functools.cache(Scorer.load)  # the champion meets two sets of rows and is loaded once
    champion = _champion(context, rows, serving, _test_days_that_taught, load)
    scores = {CANDIDATE: _scored(candidate, rows)} | _baselines(context)
    judged = Judged(rows, context.problem, scores, champion, candidate.thresholds)
    evaluated = compare(judged)
    examples = examples_of(judged)
    evaluated = evaluated.model_copy(
        update={
            "rows_digest": prepared.rows_digest,
            "valid_version": prepared.valid_version,
            "effects": effects_of(rows, candidate.score, tuple(context.problem.features), context.problem, candidate.thresholds),
            "reference": _on_reference(context, candidate, serving, load),
            "examples": examples if context.problem.success.show_rows else (),
            **_trust(context, judged, candidate, prepared, trained),
        }
    )
    context.store.write_json(context.name(EXAMPLES), [example.model_dump(mode="json") for example in examples])
    _write_scores(context, rows, scores, champion.scores if champion else None)
    with context.store.replacing(context.name(PLOTS)) as folder:
        plots.write(folder, judged, evaluated, snapshot.history_of(context))
    metric = context.problem.success.metric
    told = {name: f"{one.metrics[metric].value:.4f}" for name, one in _models(evaluated).items()}
    log.info("evaluate: %s on %d rows: %s", metric, rows.num_rows, told)
    return evaluated


def _refuse_excluded(context: Context, prepared: Prepared) -> None:
    """A snapshot that was frozen before a bad day was taken out is not to be judged any more.

    Raises: DataError: it was.
    """
    out = [day for day in exclusions.days(context) if day not in prepared.excluded]
    touched = [str(day) for day in out if prepared.train.first <= day <= prepared.test.last]
    if touched:
        raise DataError(
            f"{', '.join(touched)} was excluded after this run froze its rows, so its candidate is not judged. Clear from "
            "prepare on, or start a new run."
        )


def _scored(scorer: Scorer, rows: pa.Table) -> Floats:
    """What a model answers.

    Raises: DataError: some answers are no numbers.
    """
    scores = scorer.score(rows)
    if silent := int((~np.isfinite(scores)).reshape(len(scores), -1).any(axis=1).sum()):
        raise DataError(
            f"The model at {scorer.version_dir} answers {silent:,} of {len(scores):,} rows with no number. Train again, and look "
            "for values in the columns that training has not seen."
        )
    return scores


def _baselines(context: Context) -> dict[str, Floats]:
    with np.load(context.file(BASELINES), allow_pickle=False) as held:
        return {name: held[name] for name in context.problem.success.baselines}


def _baselines_on_reference(context: Context, rows: pa.Table) -> dict[str, Floats]:
    """Their scores from training; none where rows were taken out of the reference since."""
    begins = f"{reference.PART}."
    with np.load(context.file(BASELINES), allow_pickle=False) as held:
        found = {name.removeprefix(begins): held[name] for name in held.files if name.startswith(begins)}
    return {name: scores for name, scores in found.items() if len(scores) == rows.num_rows}


def _models(evaluated: Evaluated) -> dict[str, Scores]:
    every = {CANDIDATE: evaluated.candidate, CHAMPION: evaluated.champion} | evaluated.baselines
    return {name: scores for name, scores in every.items() if scores}


def _champion(context: Context, rows: pa.Table, serving: Serving | None, taught: Taught, load: Load) -> Champion | None:
    """Score the champion on the same rows, unless it learned from them or cannot be scored.

    Args:
        taught: what in the rows the champion knows, empty when it knows none of them.
    """
    if serving is None:
        return None
    version, theirs = serving.version, context.of_run(serving.run_key)
    try:
        if known := taught(theirs, rows):
            return Champion(version, None, f"champion {version} learned from {known}")
        if other := snapshot.other_question(theirs):
            return Champion(version, None, f"champion {version} cannot be compared: {other}")
        scorer = load(snapshot.model_of(theirs.store, theirs.run_key, serving.model_digest))
        return Champion(version, _scored(scorer, rows), thresholds=scorer.thresholds)
    except DataError as error:
        return Champion(version, None, f"champion {version} cannot be scored: {error}")


def _test_days_that_taught(theirs: Context, rows: pa.Table) -> str:
    learned, first_test_day = theirs.record(Prepared).validation.last, min(rows[DAY].to_pylist())
    if str(learned) < first_test_day:
        return ""
    return f"days up to {learned}, and the test begins on {first_test_day}; judging it there would flatter it"


def _reference_rows_that_taught(theirs: Context, rows: pa.Table) -> str:
    number = reference.num_learned(theirs, rows)
    return f"{number:,} of the reference rows" if number else ""


def _trust(context: Context, judged: Judged, candidate: Scorer, prepared: Prepared, trained: Trained) -> dict[str, Any]:
    """What tells whether the numbers may be believed: seen rows, stale rows, a changed export, rows used before."""
    learned = pq.read_table(context.file(ROWS), filters=[("_part", "in", LEARNED)])
    size = sum(path.stat().st_size for path in candidate.version_dir.rglob("*") if path.is_file())
    return {
        "learned_until": date.fromisoformat(max(learned[DAY].to_pylist())),
        "stale_rows": bool(trained.rows_digest) and trained.rows_digest != prepared.rows_digest,
        "num_seen": num_seen(learned, judged.rows, context.problem),
        "example_difference": candidate.example_difference(),
        "size_mb": round(size / MEGABYTE, 3),
        "uses": _uses(context, judged.rows, trained.model_digest),
    }


def _uses(context: Context, rows: pa.Table, model_digest: str) -> int:
    """Write down that these test rows were used for this model; how many different models they were used for by now.

    A dry run promotes nothing, so it uses nothing up.
    """
    content = json.dumps([rows["_key"].to_pylist(), [str(label) for label in rows["_label"].to_pylist()]])
    digest = hashlib.sha256(content.encode()).hexdigest()
    problem, ledger = context.problem.name, context.ledger
    body = {"test_digest": digest, "model_digest": model_digest, "num_rows": rows.num_rows}
    key = f"{digest[:16]} {model_digest[:16]}"
    if not context.dry_run:
        ledger.append(problem, JUDGED, key=key, actor=f"retrain:{context.reason}", run_key=context.run_key, body=body)
    entries = [entry.body for entry in ledger.entries(problem) if entry.kind == JUDGED]
    return len({model_digest} | {entry["model_digest"] for entry in entries if entry["test_digest"] == digest})


def _on_reference(context: Context, candidate: Scorer, serving: Serving | None, load: Load) -> OnReference | None:
    """Candidate and champion on the frozen rows; None where no rows are set aside, or the candidate learned from some."""
    found = reference.rows_of(context)
    if found is None or reference.num_learned(context, found[1]):
        return None
    frozen, rows, digest = found
    champion = _champion(context, rows, serving, _reference_rows_that_taught, load)
    scores = {CANDIDATE: _scored(candidate, rows)} | _baselines_on_reference(context, rows)
    judged = Judged(rows, context.problem, scores, champion, candidate.thresholds)
    evaluated, days = compare(judged), rows[DAY].to_pylist()
    return OnReference(
        name=frozen.name,
        num_rows=rows.num_rows,
        first=min(days),
        last=max(days),
        rows_digest=digest,
        candidate=evaluated.candidate,
        baselines=evaluated.baselines,
        champion=evaluated.champion,
        gain_over_champion=evaluated.gain_over_champion,
        champion_problem=evaluated.champion_problem,
    )


def _write_scores(context: Context, rows: pa.Table, scores: dict[str, Floats], champion: Floats | None) -> None:
    """One row per test row; a score of several outputs is a list."""
    columns = {name: rows[name] for name in ("_key", DAY, "_label")}
    columns |= {name: pa.array(one.tolist()) for name, one in scores.items()}
    columns["champion"] = pa.array(champion.tolist()) if champion is not None else pa.nulls(rows.num_rows, pa.float64())
    with context.store.replacing(context.name(SCORES)) as path:
        pq.write_table(pa.table(columns), path, compression="zstd")
