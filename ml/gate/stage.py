"""The thin part: evaluation, rehearsal, the policy and what the ledger says of earlier nights become the run's verdict."""

import logging
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from ml.context import Context
from ml.gate.decide import decide
from ml.gate.spending import Look, level
from ml.ledger import Entry
from ml.records import Evaluated, Rehearsed, Trained, Verdict
from ml.window import local_day

log = logging.getLogger(__name__)


def run(context: Context) -> Verdict:
    """Decide and write the verdict; "no" is a result, not a failure."""
    evaluated = context.record(Evaluated)
    rehearsed = _rehearsed(context)
    inputs = [evaluated.model_dump(mode="json"), context.problem.gate.model_dump(), context.dry_run]
    inputs += [rehearsed.model_dump(mode="json")] if rehearsed else []
    verdict = context.once(Verdict, inputs, lambda: _decide(context, evaluated, rehearsed))
    log.info("gate: %s", verdict.sentence)
    return verdict


def _rehearsed(context: Context) -> Rehearsed | None:
    """The rehearsal of this very candidate; None when it was left out, or was of a model before the last training."""
    if not context.has(Rehearsed):
        return None
    found = context.record(Rehearsed)
    return found if found.model_digest == context.record(Trained).model_digest else None


def _decide(context: Context, evaluated: Evaluated, rehearsed: Rehearsed | None) -> Verdict:
    problem, zone = context.problem, context.problem.source.timezone
    today = local_day(context.settings.now(), zone)
    looks = looks_of(context.ledger.entries(problem.name), zone)
    tonight = level(looks, today, per_year=problem.gate.lucky_promotions_per_year)
    return decide(evaluated, problem, today=today, rehearsed=rehearsed, dry_run=context.dry_run, level=tonight)


def looks_of(entries: Sequence[Entry], timezone: str) -> list[Look]:
    """Earlier verdicts that took some of the budget, oldest first; those of dry runs could not promote and took none."""
    verdicts = [(entry, entry.body["verdict"]) for entry in entries if entry.kind == "verdict" and "verdict" in entry.body]
    spent = [(entry, verdict.get("spent", 0.0)) for entry, verdict in verdicts if not verdict.get("dry_run")]
    return [Look(entry.at.astimezone(ZoneInfo(timezone)).date(), took) for entry, took in spent if took > 0]
