"""Nights of the flights as their records tell them: a fortnight with a champion, skips, a refusal, drift and an open question."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ml import database, marks, settings
from ml import problem as problems
from ml.context import Context
from ml.ledger import Champion
from ml.records import (
    Decided,
    DriftFinding,
    Ingested,
    Monitored,
    MonitoredDay,
    Part,
    Prepared,
    Registered,
    RuleResult,
    Trained,
    Validated,
)
from tests.integration.state_kit import make_evaluated, make_verdict

FIRST = date(2013, 2, 1)
PART = Part(first=date(2013, 1, 1), last=date(2013, 1, 20), num_rows=15_966, positive_rate=0.24)


def make_context(home: Path, problem: str = "flights", *, mlflow_url: str = "http://127.0.0.1:9", **places: str) -> Context:
    """The problem that comes with the system, its ledger in a file, its clock at the end of the fortnight."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "clock").write_text(f"{FIRST + timedelta(days=13)}T15:00:00+00:00")
    url = f"sqlite:///{home}/state.db"
    database.migrate(url)
    values = {"STORE": str(home / "store"), "DATABASE_URL": url, "MLFLOW_URL": mlflow_url, "CLOCK_FILE": str(home / "clock")}
    read = settings.read({f"EVERGREEN_{name}": value for name, value in (values | places).items()})
    return Context(problems.load(problem, read.problems), read, "overview", "schedule")


def fortnight(context: Context, num_nights: int = 14) -> None:
    """Nights and days; every third night trains, the first is promoted, the last waits for an approval."""
    for number in range(num_nights):
        trains = number % 3 == 0 or number == num_nights - 1
        last = number == num_nights - 1 and number > 0
        night(context, number, train=trains, decision="promote" if number == 0 or last else "reject")
        day(context, number)
    ledger = at(context, FIRST + timedelta(days=num_nights - 1)).ledger
    if num_nights > 1:
        key = f"night-{FIRST + timedelta(days=num_nights - 1)}"
        ledger.append("flights", "approval_asked", key="ask", actor="airflow", version=2, run_key=key, body={"run": key})
        ledger.ask("flights", "approve", "ask", {"version": 2, "run_key": key, "verdict_digest": "v"})


def at(context: Context, day: date) -> Context:
    """The same context in the night of a day."""
    moment = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    clock = Path(context.settings.store).parent / f"clock-{day}"
    clock.write_text(moment.isoformat())
    return replace(context, run_key=f"night-{day}", settings=replace(context.settings, clock_file=clock))


def night(context: Context, number: int, *, train: bool, decision: Any = "reject") -> Context:
    """The records of one night, and its entries in the ledger."""
    day = FIRST + timedelta(days=number)
    run = at(context, day)
    name, key, bad = run.problem.name, run.run_key, 9 if number % 4 == 2 else 0
    marks.mark_begun(run)
    window, rows = {"start": day - timedelta(days=3), "end": day}, 2700 + 90 * (number % 5)
    rule = RuleResult(
        rule="distance between 1 and 6000", kind="row", severity="critical", holds=not bad, num_broken=bad, observed="", why="w"
    )
    by_day = {str(day - timedelta(days=1)): rows}
    changed = (day - timedelta(days=1),)
    run.write(Ingested(**window, version=number, num_rows=rows, num_rows_by_day=by_day, changed=True, days_changed=changed))
    run.write(Validated(**window, version=number, num_ingested=rows, num_valid=rows - bad, num_quarantined=bad, rules=(rule,)))
    why = "the 2,700 new labelled rows may teach something" if train else "0.04 of the rows are new, 0.05 are needed for a look"
    decided = run.write(Decided(train=train, rule="gain" if train else "too little", policy="evergreen", why=why))
    run.ledger.append(name, "decided", key=key, actor="retrain:schedule", run_key=key, body=decided.model_dump(mode="json"))
    if train:
        _trained(run, number, decision)
    return run


def _trained(run: Context, number: int, decision: Any) -> None:
    name, key = run.problem.name, run.run_key
    champion = None if number == 0 else 1
    run.write(Prepared(valid_version=number, num_unlabelled=3, train=PART, validation=PART, test=PART, rows_digest="ab" * 32))
    run.write(
        Trained(
            model_digest=f"digest-{number}", num_parameters=1234, epochs=12, best_epoch=9, validation_loss=0.5,
            export_difference=1e-7, seconds=75.0 + number,
        )
    )  # fmt: skip
    run.write(make_evaluated(champion))
    verdict = run.write(make_verdict(decision, champion))
    body = {"verdict": verdict.model_dump(mode="json"), "model_digest": f"digest-{number}", "digest": f"d{number}"}
    run.ledger.append(name, "verdict", key=key, actor="retrain:schedule", run_key=key, body=body)
    version = {"promote": 1 if number == 0 else 2}.get(decision)
    run.write(Registered(version=version, mlflow_run_id="m", url="http://127.0.0.1:9"))
    run.store.write(run.name("plots/roc.png"), PICTURE)
    if number == 0:
        to = Champion(1, key, f"digest-{number}")
        run.ledger.move(name, to=to, expected=None, kind="promote", key=key, actor="gate")
        run.ledger.append(name, "deployed", key=f"move 2, {key}", actor="deploy", version=1, run_key=key)


def day(context: Context, number: int) -> None:
    """What monitoring said of one day: quality that sinks slowly, drift of the wind at the end."""
    on = FIRST + timedelta(days=number)
    drifts, known = number >= 11, number >= 2
    value = 0.74 + 0.012 * math.sin(number) - 0.002 * number
    live = DriftFinding(
        kind="concept", subject="auc", drifted=False if known else None, value=value if known else None,
        limit=0.69 if known else None, p_value=0.4 if known else None, sentence="",
    )  # fmt: skip
    wind = DriftFinding(
        kind="data", subject="wind_speed", drifted=drifts, value=0.3 if drifts else 0.05, limit=0.2, p_value=0.0, sentence=""
    )
    said = Monitored(
        start=datetime(on.year, on.month, on.day, tzinfo=UTC),
        end=datetime(on.year, on.month, on.day, 23, tzinfo=UTC),
        version=1,
        num_requests=926 + number,
        num_labelled=900 if known else 0,
        verdicts={"data": "drift" if drifts else "no drift", "concept": "no drift" if known else "not assessable"},
        findings=(wind, live),
        retrain=False,
        reason="",
    )
    kept = MonitoredDay(day=on, run_key=f"evening-{on}", said=said)
    context.store.write_json(f"{MonitoredDay.folder}/{on}.json", kept.model_dump(mode="json"))


PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63606060f80f0001040100"
    "5fe5c34b0000000049454e44ae426082"
)  # one pixel
