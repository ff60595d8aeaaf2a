"""Writing down what is due, so that it is asked once: killed anywhere and run again, there is one row of each.

A row of the work table is the truth, the entry in the ledger before it the memory; events only say that it is time to look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ml.context import Context
from ml.errors import DataError
from ml.ledger import Ledger
from ml.monitor import actions, earlier
from ml.monitor.actions import ActionKind, Proposal, Seen
from ml.monitor.answers import Labelled
from ml.records import Action, Monitored

ENTRIES: Mapping[ActionKind, str] = {  # the ledger's word for it
    "retrain": actions.ASKED,
    "rollback": "rollback_asked",
    "label": "labels_asked",
    "tell": "told",
}


@dataclass(frozen=True)
class Case:
    """One day's findings, and what is needed to act on them."""

    context: Context
    ledger: Ledger
    seen: Seen
    labelled: Labelled
    moment: datetime


def act(case: Case) -> Monitored:
    """The record with what was asked for, and why something was not."""
    done: list[Action] = []
    said: list[str] = []
    for action, words in (_retrain(case), _rollback(case), _label(case), *_tell(case)):
        done += [action] if action else []
        said += [words] if words else []
    retrain = any(action.kind == "retrain" and action.due for action in done)
    reason = " ".join([case.seen.record.reason, *said])
    return case.seen.record.model_copy(update={"retrain": retrain, "reason": reason, "actions": tuple(done)})


def _retrain(case: Case) -> tuple[Action | None, str]:
    problem, seen = case.context.problem, case.seen
    proposal = actions.retrain(seen, problem.drift)
    if proposal is None:
        return None, _waits(seen, problem.drift.persistence, problem.drift.retrain_on, seen.lasting(problem.drift))
    entries = [entry for entry in case.ledger.entries(problem.name) if entry.kind == actions.ASKED]
    own = any(entry.key == proposal.key or entry.run_key == case.context.run_key for entry in entries)
    asked = actions.cooling(entries, case.moment, problem.drift.cooldown_days)
    if asked and not own:
        days = problem.drift.cooldown_days
        return None, f"No retrain: one was asked on {asked.at:%Y-%m-%d}, the cooldown is {days} days."
    action = _ask(case, proposal)
    return action, f"Retrain {'asked' if action.due else 'asked and done already'}: {action.key}."


def _waits(seen: Seen, persistence: int, retrain_on: Sequence[str], lasting: Sequence[str]) -> str:
    young = [kind for kind in retrain_on if seen.record.verdicts.get(kind) == "drift" and kind not in lasting]
    told = (f"{kind} drift since {seen.begun(kind)}" for kind in young)
    return f"No retrain yet: {', '.join(told)}; it counts after {persistence} days in a row." if young else ""


def _rollback(case: Case) -> tuple[Action | None, str]:
    """A way back needs a champion before this one that can be asked."""
    problem, metric = case.context.problem, case.context.problem.success.metric
    if not actions.may_roll_back(case.seen, problem.drift, metric):
        return None, ""
    standing = case.ledger.succession(problem.name)
    if len(standing) < 2:
        return None, "No way back: there is no champion before this one."
    before = standing[-2]
    try:
        gain = earlier.gain_of(case.context, before, case.labelled)
    except DataError as error:
        return None, f"No way back: {error}."
    proposal = actions.rollback(case.seen, before, gain, metric)
    if proposal is None:
        return None, f"No way back: version {before.version} is not better for sure, {actions.gain_in_words(gain, metric)}."
    action = _ask(case, proposal)
    return action, f"Way back {'asked' if action.due else 'asked and done already'}: {proposal.why}."


def _label(case: Case) -> tuple[Action | None, str]:
    """One open request for labels at a time; it is closed when enough of them are there."""
    name, policy = case.context.problem.name, case.context.problem.drift
    due = case.ledger.due(name, "label")
    if case.seen.record.num_labelled >= policy.minimum_rows:
        for work in due:
            case.ledger.done(work, f"{case.seen.record.num_labelled} labels are known on {case.seen.day}")
        return None, ""
    proposal = actions.label(case.seen, policy, case.labelled.num_waiting, case.moment)
    if proposal is None or any(work.body.get("run_key") != case.context.run_key for work in due):
        return None, ""
    return _ask(case, proposal), f"Labels asked for: {proposal.why}."


def _tell(case: Case) -> list[tuple[Action | None, str]]:
    found = [_ask(case, one) for one in actions.tell(case.seen, case.context.problem.drift)]
    return [(action, f"People are told: {action.why}." if action.due else "") for action in found]


def _ask(case: Case, proposal: Proposal) -> Action:
    """Write down that something is due, under one key, also when the run was killed before midnight and repeated after it."""
    name, run_key, kind = case.context.problem.name, case.context.run_key, proposal.kind
    entry, version = ENTRIES[kind], case.seen.champion.version
    same = [one for one in case.ledger.entries(name) if one.kind == entry and one.run_key == run_key]
    key = same[0].key if same and kind in ("retrain", "label") else proposal.key
    body = {"why": proposal.why, **proposal.body}
    case.ledger.append(name, entry, key=key, actor="monitor", version=version, run_key=run_key, body=body)
    case.ledger.ask(name, kind, key, body | {"version": version, "run_key": run_key})
    due = any(work.key == key for work in case.ledger.due(name, kind))
    return Action(kind=kind, key=key, due=due, why=proposal.why)
