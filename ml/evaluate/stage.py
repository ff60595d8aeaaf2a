"""The stage: score all models on the run's test rows, write the evaluation, the scores and the plots."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import exclusions, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.evaluate import plots
from ml.evaluate.compare import Champion, compare
from ml.metrics import Floats
from ml.records import Evaluated, Prepared, Scores, Trained
from ml.scoring import Scorer
from ml.snapshot import BASELINES, HISTORY, MODEL, PLOTS, SCORES
from ml.tables import DAY

log = logging.getLogger(__name__)


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
    champion_run = (serving.version, serving.run_key) if serving else None
    return context.once(Evaluated, inputs, lambda: _evaluate(context, prepared, champion_run))


def _evaluate(context: Context, prepared: Prepared, champion_run: tuple[int, str] | None) -> Evaluated:
    _refuse_excluded(context, prepared)
    rows = snapshot.rows_of(context, "test")
    labels = rows["_label"].to_numpy().astype(np.float64)
    candidate = Scorer.load(context.file(MODEL))
    champion = _champion(context, rows, *champion_run) if champion_run else None
    with np.load(context.file(BASELINES)) as simple:
        scores = {"candidate": candidate.score(rows), **simple}
    evaluated = compare(
        rows, scores, champion, threshold=candidate.threshold, success=context.problem.success, gate=context.problem.gate
    )
    _write_scores(context, rows, scores, champion.scores if champion else None)
    shown = scores | ({"champion": champion.scores} if champion and champion.scores is not None else {})
    with context.store.replacing(context.name(PLOTS)) as folder:
        plots.write(folder, labels, shown, context.store.read_json(context.name(HISTORY)), candidate.threshold)
    metric = context.problem.success.metric
    told = {name: f"{one.metrics[metric].value:.4f}" for name, one in _models(evaluated).items()}
    log.info("evaluate: %s on %d rows: %s", metric, rows.num_rows, told)
    return evaluated.model_copy(update={"rows_digest": prepared.rows_digest, "valid_version": prepared.valid_version})


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


def _models(evaluated: Evaluated) -> dict[str, Scores]:
    every = {"candidate": evaluated.candidate, "champion": evaluated.champion, **evaluated.baselines}
    return {name: scores for name, scores in every.items() if scores}


def _champion(context: Context, rows: pa.Table, version: int, run_key: str) -> Champion:
    """Score the champion on the candidate's test rows, unless it learned from them or cannot be scored."""
    theirs = context.of_run(run_key)
    try:
        learned = theirs.record(Prepared)
        first_test_day = min(rows[DAY].to_pylist())
        if str(learned.validation.last) >= first_test_day:
            seen = (
                f"champion {version} learned from days up to {learned.validation.last}, and the test begins on {first_test_day}"
            )
            return Champion(version, None, f"{seen}; judging it there would flatter it")
        scorer = Scorer.load(theirs.file(MODEL))
        return Champion(version, scorer.score(rows), threshold=scorer.threshold)
    except DataError as error:
        return Champion(version, None, f"champion {version} cannot be scored: {error}")


def _write_scores(context: Context, rows: pa.Table, scores: dict[str, Floats], champion: Floats | None) -> None:
    empty = pa.nulls(rows.num_rows, pa.float64())
    columns = {name: rows[name] for name in ("_key", DAY, "_label")} | {name: pa.array(one) for name, one in scores.items()}
    columns["champion"] = pa.array(champion) if champion is not None else empty
    with context.store.replacing(context.name(SCORES)) as path:
        pq.write_table(pa.table(columns), path, compression="zstd")
