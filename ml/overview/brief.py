"""The morning brief: what the last night did, step by step, in sentences made from its records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ml.context import Context
from ml.ledger import Entry
from ml.overview import live, timeline
from ml.overview.live import Point
from ml.overview.nights import ENTRIES, Begun, begun, record
from ml.records import Decided, Evaluated, Ingested, Prepared, Registered, Trained, Validated, Verdict

NO_ROWS = "The source had no rows"
State = Literal["done", "skipped", "failed", "waits", "running", "not reached"]
AFTER = ("approved", "rejected", "refused", "promote", "deployed", "deploy_failed", "rollback")
WORDS: Mapping[str, State] = {  # Airflow's states of a task, as a reader knows them
    "failed": "failed", "upstream_failed": "not reached", "skipped": "skipped", "running": "running", "queued": "running",
    "scheduled": "running", "up_for_retry": "running", "up_for_reschedule": "running", "deferred": "waits",
    "awaiting_input": "waits",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step of the night. `stage` names the task of the DAG that did it."""

    name: str
    stage: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Brief:
    """The newest night; `run_key` is empty before the first."""

    problem: str
    run_key: str
    at: datetime | None
    headline: str
    steps: tuple[Step, ...]


def brief(context: Context, *, states: Mapping[str, str] | None = None, run_key: str = "") -> Brief:
    """Explain a night.

    Args:
        states: per task of the run what its orchestrator says, where one is asked: a record only says what was finished.
        run_key: of the night; empty: the newest one.
    Raises: TransientError: the database is away.
    """
    entries = context.ledger.recent(context.problem.name, ENTRIES)
    return explain(context, entries, live.points(context, 1), states or {}, run_key)


def explain(context: Context, entries: Sequence[Entry], seen: Sequence[Point], states: Mapping[str, str], run_key: str) -> Brief:
    """The same from what was read already."""
    name, known = context.problem.name, begun(context, entries)
    night = next((one for one in known if one.run_key == run_key or not run_key), None)
    if night is None:
        return Brief(name, "", None, "No night yet. The first one starts by its schedule, or with Retrain.", ())
    run = context.of_run(night.run_key)
    steps = [_step(run, states, *one) for one in STEPS]
    steps = _without_unreached(steps, record(run, Decided))
    after = _after(entries, night)
    watched = _watched(seen[-1]) if seen else Step("Monitored", "monitor", "not reached", "No day was judged yet.")
    return Brief(name, night.run_key, night.at, _headline(steps, after), (*steps, *after, watched))


def _step(run: Context, states: Mapping[str, str], name: str, stage: str, tell: Callable[[Context], str | None]) -> Step:
    if (told := tell(run)) is not None:
        return Step(name, stage, "done", told)
    state = WORDS.get(states.get(stage, ""), "not reached")
    said = {
        "failed": "This step failed; its log says why and what to do.",
        "skipped": "This step was skipped.",
        "running": "This step is under way.",
        "waits": "This step waits.",
    }
    return Step(name, stage, state, said.get(state, "The night did not get here."))


def _without_unreached(steps: list[Step], decided: Decided | None) -> list[Step]:
    """A night that trains nothing has no steps behind the decision; those would only look like faults."""
    if decided is None or decided.train:
        return steps
    place = [step.stage for step in steps].index(Decided.stage) + 1
    return [*steps[: place - 1], Step(steps[place - 1].name, Decided.stage, "skipped", steps[place - 1].sentence)]


def _ingested(run: Context) -> str | None:
    if not (found := record(run, Ingested)):
        return None
    span = f"{found.start} to {found.end - timedelta(days=1)}"
    if found.num_rows == 0:
        return f"{NO_ROWS} for {span}."
    changed = len(found.days_changed)
    new = f"{changed} {'day is' if changed == 1 else 'days are'} new or changed" if changed else "all were known already"
    late = f"; {found.num_late:,} late rows of older days are not read" if found.num_late else ""
    return f"{found.num_rows:,} rows of {span} were read; {new}{late}."


def _validated(run: Context) -> str | None:
    if not (found := record(run, Validated)):
        return None
    worst = sorted((rule for rule in found.rules if rule.num_broken), key=lambda rule: -rule.num_broken)[:3]
    if not found.num_quarantined:
        return f"All {found.num_valid:,} rows kept the rules."
    told = ", ".join(f"{rule.rule} ({rule.num_broken:,})" for rule in worst)
    return f"{found.num_valid:,} rows are good, {found.num_quarantined:,} went to quarantine: {told}."


def _decided(run: Context) -> str | None:
    found = record(run, Decided)
    return f"{'A training was due' if found.train else 'No training was due'}: {found.why}." if found else None


def _prepared(run: Context) -> str | None:
    if not (found := record(run, Prepared)):
        return None
    teach, judge = found.train.num_rows + found.validation.num_rows, found.test.num_rows
    return f"{teach:,} rows from {found.train.first} on teach, {judge:,} from {found.test.first} to {found.test.last} judge."


def _trained(run: Context) -> str | None:
    if not (found := record(run, Trained)):
        return None
    return f"{found.epochs} rounds over the rows in {_clock(found.seconds)}; round {found.best_epoch} was best."


def _judged(run: Context) -> str | None:
    verdict, evaluated = record(run, Verdict), record(run, Evaluated)
    if verdict is None:
        return None
    metric = run.problem.success.metric
    scored = ""
    if evaluated and metric in evaluated.candidate.metrics:
        scored = f" {metric} {evaluated.candidate.metrics[metric].value:.4f}"
        if evaluated.champion and metric in evaluated.champion.metrics:
            scored += f" against {evaluated.champion.metrics[metric].value:.4f} of the champion"
        scored += "."
    said = {"promote": "The candidate may replace the champion", "reject": "The candidate was refused"}
    return f"{said.get(verdict.decision, 'The candidate could not be judged')}: {verdict.sentence.partition(': ')[2]}.{scored}"


def _registered(run: Context) -> str | None:
    if not (found := record(run, Registered)):
        return None
    return f"It is version {found.version}." if found.version else "No version was made of it."


def _after(entries: Sequence[Entry], night: Begun) -> list[Step]:
    """What became of the night's candidate since: approval, promotion, deployment, as the ledger tells it."""
    mine = [one for one in entries if one.run_key == night.run_key and one.kind in (*AFTER, "approval_asked")]
    told = [one for one in mine if one.kind != "approval_asked"]
    if mine and not told:
        return [Step("Approval", "approve", "waits", f"{timeline.event(mine[-1]).what}.")]
    names = {"promote": "Promoted", "deployed": "Deployed", "deploy_failed": "Deployed", "rollback": "Rolled back"}
    return [
        Step(
            names.get(one.kind, "Approval"),
            {"deployed": "deploy", "deploy_failed": "deploy"}.get(one.kind, "promote"),
            "failed" if one.kind in ("deploy_failed", "refused") else "done",
            ". ".join(filter(None, [timeline.event(one).what, timeline.event(one).why])).rstrip(".") + ".",
        )
        for one in told
    ]


def _watched(point: Point) -> Step:
    seen = f"{point.num_requests:,} requests were looked at on {point.day}"
    moved = f": {', '.join(point.subjects[:4])} moved" if point.subjects and point.drift == "drift" else ""
    return Step("Monitored", "monitor", "done", f"{seen}: {point.drift}{moved}.")


def _headline(steps: Sequence[Step], after: Sequence[Step]) -> str:
    """The night in one sentence: what needs somebody, else how it ended, else how far it came."""
    by_stage = {step.stage: step for step in steps}
    for state in ("failed", "waits"):
        if wrong := next((step for step in (*steps, *after) if step.state == state), None):
            return wrong.sentence if wrong in after else f"{wrong.name}: {wrong.sentence}"
    if after:
        return after[-1].sentence
    if going := next((step for step in steps if step.state == "running"), None):
        return f"{going.name}: {going.sentence}"
    decided, judged = by_stage[Decided.stage], by_stage.get(Verdict.stage)
    if decided.state == "skipped":
        return decided.sentence
    if judged and judged.state == "done":
        return judged.sentence
    finished = [step for step in steps if step.state == "done"]
    if not finished:
        return "It began, and nothing more is known of it."
    return finished[-1].sentence if NO_ROWS in finished[-1].sentence else f"Nothing is known after this: {finished[-1].sentence}"


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


STEPS: tuple[tuple[str, str, Callable[[Context], str | None]], ...] = (
    ("Ingested", Ingested.stage, _ingested),
    ("Validated", Validated.stage, _validated),
    ("Decided", Decided.stage, _decided),
    ("Prepared", Prepared.stage, _prepared),
    ("Trained", Trained.stage, _trained),
    ("Judged", Verdict.stage, _judged),
    ("Registered", Registered.stage, _registered),
)
