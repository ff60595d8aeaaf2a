"""Would the champion before this one have answered better? Asked of the very rows whose labels are known by now."""

from ml import metrics, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion
from ml.metrics import Draws
from ml.monitor.answers import Labelled
from ml.records import Interval
from ml.scoring import Scorer


def gain_of(context: Context, earlier: Champion, known: Labelled) -> Interval:
    """How much better the earlier version does than what was answered, in the problem's metric; positive is better.

    Both meet the same rows under the same draws of whole days. Rows that lack a column of the earlier version are left out.

    Raises: DataError: it answers another question, its model is gone or changed, or it can take too few of the rows.
    """
    if other := snapshot.other_question(context.of_run(earlier.run_key)):
        raise DataError(f"version {earlier.version} cannot be asked: {other}")
    scorer = Scorer.load(snapshot.model_of(context.store, earlier.run_key, earlier.model_digest))
    policy, metric = context.problem.drift, context.problem.success.metric
    places = [place for place, key in enumerate(known.keys) if scorer.columns.keys() <= known.asked.get(str(key), {}).keys()]
    if len(places) < policy.minimum_rows:
        raise DataError(f"only {len(places)} labelled requests hold every column of version {earlier.version}")
    rows = [known.asked[str(known.keys[place])] for place in places]
    theirs = scorer.score(scorer.table([{name: row[name] for name in scorer.columns} for row in rows]))
    draws = Draws.over(None if known.days is None else known.days[places], len(places))
    ours, labels = known.scores[places], known.labels[places]
    return metrics.paired_gain(metric, labels, theirs, ours, confidence=policy.confidence, draws=draws)
