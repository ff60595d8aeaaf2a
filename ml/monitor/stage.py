"""The stage itself: gather, judge, and ask for a retrain where the policy says so."""

import logging
from dataclasses import dataclass
from datetime import datetime

from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion, Ledger
from ml.monitor import acting, history, judge
from ml.monitor.acting import Case
from ml.monitor.actions import Seen
from ml.monitor.evidence import Evidence, gather, look_at
from ml.monitor.finding import KINDS
from ml.monitor.sample import INSTANT
from ml.records import Monitored
from ml.store import Store
from ml.window import Window

log = logging.getLogger(__name__)


def run(context: Context) -> Monitored:
    """Judge the requests of the window; a rerun keeps its window, however late it comes.

    Nothing to judge (no champion, too few rows, a run folder that was cleaned away) is the answer "not assessable".

    Raises: TransientError: the database is away.
    """
    moment = judged_at(context)
    ledger = Ledger(context.settings.database_url, now=lambda: moment)
    champion = ledger.champion(context.problem.name, at=moment if context.window else None)
    start, end = look_at(context, moment).requests
    inputs = {
        "window": [start.isoformat(), end.isoformat()],
        "version": champion.version if champion else None,
        "drift": context.problem.drift.model_dump(),
        "dry_run": context.dry_run,
    }
    record = context.once(Monitored, inputs, lambda: _monitor(context, ledger, champion, moment))
    if not only_looks(context):
        _publish(context.store, record)
        history.keep(context, record)
    return record


def only_looks(context: Context) -> bool:
    """Whether nothing follows from what is found: the past is looked at, or somebody asked for a dry run."""
    return context.dry_run or context.window is not None


def _publish(store: Store, record: Monitored) -> None:
    """Leave the newest word where the service finds it for Prometheus, without sentences, which quote values of requests."""
    earlier = Monitored.model_validate(store.read_json(Monitored.latest)) if store.exists(Monitored.latest) else None
    if earlier is None or earlier.end is None or record.end is None or earlier.end <= record.end:
        store.write_json(Monitored.latest, record.silent.model_dump(mode="json"))


def judged_at(context: Context) -> datetime:
    """The moment the run stands at: the end of the window it was given, or of its record when there is one, else now."""
    if context.window is not None:
        return Window.parse(context.window).instants(context.problem.source.timezone)[1] - INSTANT
    if context.store.exists(context.name("monitor.json")):
        end = context.record(Monitored).end
        if end is not None:
            return end - INSTANT
    return context.settings.now()


@dataclass(frozen=True)
class Looked:
    """One look at one champion."""

    context: Context
    ledger: Ledger
    champion: Champion
    moment: datetime


def _monitor(context: Context, ledger: Ledger, champion: Champion | None, moment: datetime) -> Monitored:
    if champion is None:
        return _not_assessable(context, None, moment, "there is no champion yet; promote a version first")
    policy = context.problem.drift
    try:
        evidence = gather(context, champion, moment)
    except DataError as error:
        return _not_assessable(context, champion.version, moment, str(error))
    found = judge.findings(evidence, context.problem)
    judged = judge.verdicts(found, policy.columns_share)
    start, end = look_at(context, moment).requests
    record = Monitored(
        start=start,
        end=end,
        version=champion.version,
        num_requests=evidence.num_requests,
        num_labelled=len(evidence.labelled.labels),
        valid_version=evidence.labelled.valid_version,
        verdicts=judged,
        findings=tuple(found),
        retrain=False,
        reason=judge.reason(found, judged, evidence, policy),
    )
    log.info("monitor: version %d, %d requests: %s", champion.version, evidence.num_requests, record.reason)
    return _followed_up(Looked(context, ledger, champion, moment), record, evidence)


def _followed_up(looked: Looked, record: Monitored, evidence: Evidence) -> Monitored:
    """Say since when things stand out, and ask for what is due."""
    context = looked.context
    day = history.day_of(context, looked.moment)
    before = history.reign(history.days(context, before=day), looked.champion.version)
    record = history.dated(record, day, before)
    if only_looks(context):
        return record
    seen = Seen(record, looked.champion, day, {kind: history.verdicts_in_a_row(kind, before) for kind in record.verdicts})
    return acting.act(Case(context, looked.ledger, seen, evidence.labelled, looked.moment))


def _not_assessable(context: Context, version: int | None, moment: datetime, why: str) -> Monitored:
    start, end = look_at(context, moment).requests
    log.info("monitor: not assessable: %s", why)
    return Monitored(
        start=start,
        end=end,
        version=version,
        num_requests=0,
        num_labelled=0,
        verdicts=dict.fromkeys(KINDS, "not assessable"),
        findings=(),
        retrain=False,
        reason=why,
    )
