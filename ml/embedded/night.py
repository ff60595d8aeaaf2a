"""One day of replayed history: the night's retrain through the real scheduler, the day's traffic, the evening's monitoring."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ml import problem as problems
from ml import requests, samples
from ml.context import Context
from ml.deploy.service import PredictionService
from ml.embedded import notes
from ml.embedded.airflow import FINISHED, Airflow, wait
from ml.embedded.progress import Progress
from ml.embedded.stack import AIRFLOW_USER, Stack
from ml.embedded.traffic import Traffic, send
from ml.errors import EvergreenError
from ml.problem import Problem
from ml.records import Evaluated, Monitored, Rehearsed, Scores, Validated, Verdict

NIGHT, NOON, EVENING = time_of_day(3), time_of_day(12), time_of_day(23, 30)
STARTS = {"retrain": "promote", "promote": "deploy", "monitor": "retrain"}  # what the last task, `announce`, sets off
RUN_TIMEOUT_S = 3600.0
EVENT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Run:
    """A finished run of a DAG."""

    kind: str
    dag_id: str
    run_id: str
    state: str
    tasks: list[dict[str, Any]]

    @property
    def announced(self) -> bool:
        """Whether it set off the next DAG."""
        return any(task["task_id"] == "announce" and task["state"] == "success" for task in self.tasks)


@dataclass
class Night:
    """Plays one day of one problem on a running stack."""

    stack: Stack
    problem: Problem
    day: date
    progress: Progress
    runs: list[Run] = field(default_factory=list)
    traffic: Traffic | None = None

    def __post_init__(self) -> None:
        self.airflow = Airflow(self.stack.airflow_url, AIRFLOW_USER, self.stack.secrets.airflow_password)
        self.settings = self.stack.settings

    @property
    def run_id(self) -> str:
        """Names the retrain of this night, in Airflow and in the store."""
        return f"night-{self.day}"

    @property
    def context(self) -> Context:
        """Where the records of the night's retrain are."""
        return Context(self.problem, self.settings, self.run_id)

    def play(self) -> None:
        """The whole day. A day that was cut short goes on where it stopped; nothing is done twice.

        Raises: EvergreenError: a run failed, or an event did not set off what it should.
        """
        self.move_clock(NIGHT)
        self.chain("retrain", self.run_id)
        self.move_clock(NOON)
        self.send_traffic()
        self.move_clock(EVENING)
        self.chain("monitor", f"evening-{self.day}")

    def moment(self, at: time_of_day, *, days: int = 0) -> datetime:
        """A moment of the day in the problem's time zone."""
        return datetime.combine(self.day + timedelta(days=days), at, ZoneInfo(self.problem.source.timezone))

    def move_clock(self, at: time_of_day) -> None:
        """Let everything stand at that moment: the clock of all parts, and what production knows."""
        moment = self.moment(at)
        scratch = self.stack.clock.with_suffix(".new")
        scratch.write_text(moment.isoformat() + "\n")
        scratch.replace(self.stack.clock)
        moved = samples.advance(self.problem.name, self.stack.loader_url, moment)
        self.progress.say(
            f"It is {moment:%Y-%m-%d %H:%M}: {moved.num_new:,} {self.problem.problem.rows} and "
            f"{moved.num_outcomes:,} outcomes are new in production"
        )

    def chain(self, kind: str, run_id: str) -> None:
        """Trigger a DAG and follow it, and every run that its events set off."""
        self.airflow.wait_for_dag(self._dag_id(kind))
        self.airflow.trigger(self._dag_id(kind), run_id)
        run = self._follow(kind, run_id)
        while run.announced and run.kind in STARTS:
            kind, set_off = STARTS[run.kind], self._set_off_by(run)
            self.airflow.go_on(self._dag_id(kind), set_off)  # it may have failed when this day was played before
            run = self._follow(kind, set_off)

    def send_traffic(self) -> None:
        """The day's events become requests, as clients would send them."""
        key = self.problem.source.key
        rows = samples.rows(
            self.problem.name,
            self.stack.loader_url,
            self.moment(time_of_day()),
            self.moment(time_of_day(), days=1),
            columns=list(self.problem.features),
        )
        noon = self.moment(NOON)
        answered = requests.read(self.settings.database_url, self.problem.name, noon, noon + timedelta(seconds=1))
        logged = set(answered["key"].to_pylist())
        self.traffic = send(self.stack.serving_url, self.problem.name, key, rows, self.progress, logged)

    def _dag_id(self, kind: str) -> str:
        return f"{kind}_{self.problem.name}"

    def _set_off_by(self, run: Run) -> str:
        dag_id = self._dag_id(STARTS[run.kind])
        return wait(
            lambda: self.airflow.started_by(dag_id, run.dag_id, run.run_id),
            timeout_s=EVENT_TIMEOUT_S,
            otherwise=lambda: (
                f"{run.dag_id} announced its result, but {dag_id} did not start within {EVENT_TIMEOUT_S:.0f} s. "
                f"Is it paused at {self.stack.airflow_url}/dags/{dag_id}? What is due stands in the work table: "
                f"triggering {dag_id} by hand catches up."
            ),
        )

    def _follow(self, kind: str, run_id: str) -> Run:
        """Show a run until it ends.

        Raises: EvergreenError: it failed; the task, its error and where its log is are told.
        """
        run = wait(
            lambda: self._ended(kind, run_id),
            timeout_s=RUN_TIMEOUT_S,
            otherwise=lambda: f"{self._dag_id(kind)} {run_id} did not end within {RUN_TIMEOUT_S / 60:.0f} minutes.",
        )
        self.runs.append(run)
        if run.state == "failed":
            raise EvergreenError(self.airflow.failure(run.dag_id, run_id, run.tasks))
        return run

    def _ended(self, kind: str, run_id: str) -> Run | None:
        """The run when it has ended; otherwise its tasks as they stand are shown."""
        self.stack.program("airflow-scheduler").demand()
        dag_id = self._dag_id(kind)
        tasks = self.airflow.tasks(dag_id, run_id)
        self._show(kind, run_id, tasks)
        if not all(task["state"] in FINISHED for task in tasks):
            return None
        state = (self.airflow.run(dag_id, run_id) or {}).get("state", "")
        return Run(kind, dag_id, run_id, state, tasks) if state in ("success", "failed") else None

    def _show(self, kind: str, run_id: str, tasks: list[dict[str, Any]]) -> None:
        folder = self.folder_of(run_id)
        for task in tasks:
            name = task["task_id"] if task["task_id"] == kind else f"{kind} {task['task_id']}"
            self.progress.show(name, task["state"] or "waits", _seconds(task), self._note(kind, run_id, task, folder))

    def _note(self, kind: str, run_id: str, task: dict[str, Any], folder: Path | None) -> str:
        if task["state"] == "up_for_retry":
            return self.airflow.error(self._dag_id(kind), run_id, task)
        return notes.note(task["task_id"], folder) if folder and task["state"] not in (None, "skipped") else ""

    def folder_of(self, run_id: str) -> Path | None:
        """The folder of a run, None before its first record; ids that name no folder are changed and hashed there."""
        safe = "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in run_id)[:190]
        return next(iter(sorted(Path(self.context.store.location("runs")).glob(f"{safe}*"))), None)


def run_night(stack: Stack, problem: str, day: date, *, progress: Progress) -> dict[str, Any]:
    """Play one day; returns what `demo.json` says about it.

    Raises: EvergreenError: a run failed, or an event did not set off what it should.
    """
    began = time.monotonic()
    night = Night(stack, problems.load(problem, stack.problems), day, progress)
    night.play()
    return describe(night) | {"total_seconds": round(time.monotonic() - began, 1)}


def describe(night: Night) -> dict[str, Any]:
    """What the night's records, the service and Airflow say happened."""
    context = night.context
    validated, evaluated, verdict = context.record(Validated), context.record(Evaluated), context.record(Verdict)
    serving = ask(night)
    return {
        "run_key": night.run_id,
        "window": [str(validated.start), str(validated.end)],
        "rows": {"ingested": validated.num_ingested, "valid": validated.num_valid, "quarantined": validated.num_quarantined},
        "metrics": {
            "candidate": _metrics(evaluated.candidate),
            "champion": _metrics(evaluated.champion) if evaluated.champion else None,
            "baseline": _metrics(evaluated.baselines[evaluated.hardest(night.problem.success.must_beat)]),
        },
        "rehearsal": context.record(Rehearsed).sentence,
        "verdict": {
            "decision": verdict.decision,
            "sentence": verdict.sentence,
            "rules": [rule.model_dump(include={"rule", "value", "limit", "holds"}) for rule in verdict.rules],
        },
        "version": serving["version"],
        "serving": serving,
        "traffic": {"sent": night.traffic.num_sent, "failed": night.traffic.num_failed} if night.traffic else None,
        "monitor": _monitored(night),
        "dag_runs": [{"dag_id": run.dag_id, "run_id": run.run_id, "state": run.state} for run in night.runs],
        "seconds": seconds(night.runs),
    }


def ask(night: Night) -> dict[str, Any]:
    """One real row of the day, asked now, outside the request log."""
    service = PredictionService(night.stack.serving_url, night.settings.serving_token, night.problem.name)
    version = service.version()
    request: dict[str, object] | None = {"rows": [night.traffic.example]} if night.traffic and night.traffic.example else None
    answer = service.predict(request) if request and version is not None else None
    return {"url": service.predict_url, "version": version, "request": request, "answer": answer}


def seconds(runs: list[Run]) -> dict[str, float]:
    """Seconds per stage, summed over the day's runs."""
    total: dict[str, float] = defaultdict(float)
    for run in runs:
        for task in run.tasks:
            name = f"{run.kind}.announce" if task["task_id"] == "announce" else task["task_id"]
            total[name] += task["duration"] or 0.0
    return {name: round(value, 2) for name, value in total.items()}


def _monitored(night: Night) -> dict[str, Any] | None:
    evening = next((run for run in night.runs if run.kind == "monitor"), None)
    if evening is None:
        return None
    record = Context(night.problem, night.settings, evening.run_id).record(Monitored)
    return record.model_dump(mode="json", include={"verdicts", "retrain", "reason", "num_requests", "num_labelled"})


def _metrics(scores: Scores) -> dict[str, dict[str, float]]:
    return {name: interval.model_dump(mode="json") for name, interval in scores.metrics.items()}


def _seconds(task: dict[str, Any]) -> float | None:
    if task["duration"] is not None:
        return float(task["duration"])
    if task["start_date"] is None:
        return None
    started = datetime.fromisoformat(task["start_date"].replace("Z", "+00:00"))
    return (datetime.now(started.tzinfo) - started).total_seconds()
