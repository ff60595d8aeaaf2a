"""What people get to see of a look: the dossier, Evidently's pictures, the page over time, and figures in MLflow.

Decisions do not wait for it, and it may be written again at any time.
"""

import logging
from datetime import date
from pathlib import Path

from ml.context import Context
from ml.errors import DataError, TransientError
from ml.ledger import Champion
from ml.monitor import dossier, history, index, page
from ml.monitor.evidence import Evidence, gather
from ml.monitor.stage import judged_at, only_looks
from ml.records import Evaluated, Monitored

log = logging.getLogger(__name__)
EPOCH = date(1970, 1, 1)


def report(context: Context) -> Path:
    """Write the pages of a look that `run` took; returns where Evidently's lies. There are pages also when nothing was judged.

    Raises: DataError: `run` has not finished. TransientError: the database is away.
    """
    record = context.record(Monitored)
    champion = _champion(context, record)
    evidence = _evidence(context, champion)
    judged = context.of_run(champion.run_key) if champion and evidence else None
    dossier.write(context, record, evidence, judged.record(Evaluated) if judged else None)
    if not only_looks(context):
        index.write(context)
    page.write(context, record, champion, evidence)
    if champion and record.end and not only_looks(context):
        _show_in_mlflow(context, record, champion)
    return context.file(page.PAGE)


def figures(record: Monitored) -> dict[str, float]:
    """The numbers of a record by the names they have in MLflow: each finding's value, and 1 per kind that drifted."""
    values = {f"monitor.{one.kind}.{one.subject}": one.value for one in record.findings if one.value is not None}
    judged = {f"monitor.{kind}": float(said == "drift") for kind, said in record.verdicts.items() if said != "not assessable"}
    return values | judged | {"monitor.requests": float(record.num_requests), "monitor.labelled": float(record.num_labelled)}


def _show_in_mlflow(context: Context, record: Monitored, champion: Champion) -> None:
    """Figures of the day as metrics of the champion's run, and tags that lead to the newest dossier; not worth a retry."""
    moment = judged_at(context)
    day = history.day_of(context, moment)
    said = ", ".join(f"{kind} {verdict}" for kind, verdict in record.verdicts.items())
    tags = {"monitor": f"{day}: {said}"} | {f"monitor {name}": where for name, where in context.pages}
    try:
        context.registry.log_day(
            context.problem.name, champion.run_key, figures(record), tags, at=moment, step=(day - EPOCH).days
        )
    except TransientError as error:
        log.warning("the figures of %s are not in MLflow: %s", day, error)


def _evidence(context: Context, champion: Champion | None) -> Evidence | None:
    """What the record rests on, read again; None where the record says why there is none."""
    try:
        return gather(context, champion, judged_at(context)) if champion else None
    except DataError:
        return None


def _champion(context: Context, record: Monitored) -> Champion | None:
    """The champion that was judged; another one may serve by now."""
    if record.version is None:
        return None
    moves = [entry.champion for entry in context.ledger.moves(context.problem.name) if entry.version == record.version]
    return moves[-1] if moves else None
