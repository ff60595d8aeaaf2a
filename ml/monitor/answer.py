"""What became of a retrain that drift asked for; where the gate said no, people are told why, once while the drift lasts."""

import logging

from ml.context import Context
from ml.ledger import Work
from ml.monitor import index
from ml.records import Prepared, Verdict

log = logging.getLogger(__name__)
REFUSED = "refused"


def answer(context: Context) -> None:
    """Tick off the retrains that were asked for: this run has judged a fresh candidate, whatever the verdict.

    A nightly run answers too, so that a lost event does not leave the request standing. Dry runs, backfills and runs by
    hand do not: they may have looked at any window.
    """
    if context.dry_run or context.reason not in ("drift", "schedule"):
        return
    verdict = context.record(Verdict)
    for work in context.ledger.due(context.problem.name, "retrain"):
        out = set(work.body.get("excluded", ()))
        if out and not out <= {str(day) for day in context.record(Prepared).excluded}:
            continue  # this run froze its rows before these days were taken out
        if verdict.decision != "promote":
            _tell(context, work, verdict)
        context.ledger.done(work, f"{context.run_key}: {verdict.decision}")
        log.info("Answered the retrain that was asked for as %s: %s.", work.key, verdict.decision)


def _tell(context: Context, work: Work, verdict: Verdict) -> None:
    """Say that the drift goes on because nothing better was found; the day on which it began is the key."""
    name, version = context.problem.name, work.body.get("version")
    key = f"v{version}-{REFUSED}-{work.body.get('since', work.key)}"
    asked, champion = work.body.get("reason", work.key), verdict.champion_version
    why = f"{asked}: the retrain did not pass the gate, so version {champion} goes on. {verdict.sentence}"
    body = {"why": why, "retrain": work.key, "verdict": verdict.decision}
    context.ledger.append(name, "told", key=key, actor="monitor", version=version, run_key=context.run_key, body=body)
    if context.ledger.ask(name, "tell", key, body | {"version": version, "run_key": context.run_key}):
        log.warning("People are told: %s", why)
        index.write(context)
