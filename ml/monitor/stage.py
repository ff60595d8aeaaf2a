"""The stage itself: gather, judge, and ask for a retrain where the policy says so."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion, Entry, Ledger
from ml.monitor import judge
from ml.monitor.evidence import gather
from ml.monitor.finding import KINDS
from ml.monitor.sample import INSTANT, span
from ml.records import DriftFinding, Monitored
from ml.store import Store

log = logging.getLogger(__name__)
ASKED = "retrain_asked"


@dataclass(frozen=True)
class Found:
    """What was seen before anything is done about it."""

    record: Monitored
    champion: Champion

    @property
    def drifted(self) -> list[DriftFinding]:
        """The findings that say so."""
        return [finding for finding in self.record.findings if finding.drifted]


def run(context: Context) -> Monitored:
    """Judge the requests of the window; a rerun keeps its window, however late it comes.

    Nothing to judge (no champion, too few rows, a run folder that was cleaned away) is the answer "not assessable".

    Raises: TransientError: the database is away.
    """
    moment = judged_at(context)
    ledger = Ledger(context.settings.database_url, now=lambda: moment)
    champion = ledger.champion(context.problem.name)
    start, end = span(moment, context.problem.drift.window_days)
    inputs = {
        "window": [start.isoformat(), end.isoformat()],
        "version": champion.version if champion else None,
        "drift": context.problem.drift.model_dump(),
        "dry_run": context.dry_run,
    }
    record = context.once(Monitored, inputs, lambda: _monitor(context, ledger, champion, moment))
    if not context.dry_run:
        _publish(context.store, record)
    return record


def _publish(store: Store, record: Monitored) -> None:
    """Leave the newest word where the service finds it for Prometheus, without sentences, which quote values of requests."""
    earlier = Monitored.model_validate(store.read_json(Monitored.latest)) if store.exists(Monitored.latest) else None
    if earlier is None or earlier.end is None or record.end is None or earlier.end <= record.end:
        findings = tuple(finding.model_copy(update={"sentence": ""}) for finding in record.findings)
        silent = record.model_copy(update={"findings": findings, "reason": ""})
        store.write_json(Monitored.latest, silent.model_dump(mode="json"))


def judged_at(context: Context) -> datetime:
    """The moment the run stands at: that of its record when there is one, else now."""
    if context.store.exists(context.name("monitor.json")):
        end = context.record(Monitored).end
        if end is not None:
            return end - INSTANT
    return context.settings.now()


def cooling(entries: Sequence[Entry], moment: datetime, days: int) -> Entry | None:
    """The latest request for a retrain that is younger than the cooldown, by the clock of the business."""
    young = [entry for entry in entries if entry.kind == ASKED and abs(moment - entry.at) < timedelta(days=days)]
    return young[-1] if young else None


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
    start, end = span(moment, policy.window_days)
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
    return _act(context, ledger, Found(record, champion), moment)


def _not_assessable(context: Context, version: int | None, moment: datetime, why: str) -> Monitored:
    start, end = span(moment, context.problem.drift.window_days)
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


def _act(context: Context, ledger: Ledger, found: Found, moment: datetime) -> Monitored:
    """Ask for a retrain when a kind the policy names drifts; killed anywhere and run again, there is one work row."""
    problem, record = context.problem, found.record
    causes = [kind for kind in problem.drift.retrain_on if record.verdicts[kind] == "drift"]
    if not causes or context.dry_run:
        return record
    day = moment.astimezone(ZoneInfo(problem.source.timezone)).date()
    key = f"v{found.champion.version}-{day}"
    entries = [entry for entry in ledger.entries(problem.name) if entry.kind == ASKED]
    own = [entry for entry in entries if entry.key == key or entry.run_key == context.run_key]
    earlier = cooling(entries, moment, problem.drift.cooldown_days)
    if earlier and not own:
        waits = f" No retrain: one was asked on {earlier.at:%Y-%m-%d}, the cooldown is {problem.drift.cooldown_days} days."
        return record.model_copy(update={"reason": record.reason + waits})
    key = own[0].key if own else key  # a run killed before midnight and repeated after it asks for the same thing
    # Sentences quote values of requests, and the ledger cannot forget: it gets the numbers, the run's record the words.
    body = {
        "reason": f"drift: {', '.join(causes)}",
        "findings": [finding.model_dump(exclude={"sentence"}) for finding in found.drifted],
    }
    version, run_key = found.champion.version, context.run_key
    ledger.append(problem.name, ASKED, key=key, actor="monitor", version=version, run_key=run_key, body=body)
    ledger.ask(problem.name, "retrain", key, body | {"version": version, "run_key": run_key})
    due = any(work.key == key for work in ledger.due(problem.name, "retrain"))
    said = f" Retrain {'asked' if due else 'asked and done already'}: {key}."
    return record.model_copy(update={"retrain": due, "reason": record.reason + said})
