"""Where Airflow ends and `ml` begins: a record becomes a small dict and a line in the log, no record a skipped task.

How a DAG run becomes a `Context` stands in `runs.py`. Everything here runs in a task. `ml` is imported inside the functions,
because DAG files import this module at every parse.
"""

import importlib
import json
import logging
import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from retraining import runs
from retraining.problems import ProblemFile

if TYPE_CHECKING:
    from ml.context import Context
    from ml.records import Followed, Record

log = logging.getLogger(__name__)

FIELD_BYTES = 1000  # a larger field of a record stays in its file: what travels between tasks is kept by Airflow for good


def open_to_act(problem: ProblemFile) -> "Context":
    """The context of a run that may act on what was found; one that looks at a window of the past ends here."""
    context = runs.open_run(problem)
    skip_if("this run only looks at the past, so nothing follows from what it found" if context.window else None)
    return context


def run_stage(name: str, problem: ProblemFile) -> dict[str, Any]:
    """Run the stage `ml.<name>` for this DAG run."""
    return done(importlib.import_module(f"ml.{name}").run(runs.open_run(problem)))


def tune_if_asked(problem: ProblemFile) -> None:
    """Search better settings first where the form or the problem asks for it; a retry goes on."""
    from ml import tuned

    context = runs.open_run(problem)
    if tuned.due(context, asked=bool(get_current_context()["params"].get("tune"))):
        done(importlib.import_module("ml.tune").run(context))


def begin_retrain(problem: ProblemFile) -> "Context":
    """The context for the first task of a retrain; a run that drift started, and another has answered since, ends here."""
    context = runs.open_run(problem)
    airflow = get_current_context()
    if why := airflow["params"].get("reason"):
        log.info("Asked for by %s: %s", airflow["dag_run"].triggering_user_name, why)
    skip_if(answered_already(context))
    return context


def answered_already(context: "Context") -> str | None:
    """Why a retrain that drift started has nothing left to do: its event was doubled, or a nightly run was faster."""
    name = context.problem.name
    if context.reason != "drift" or context.ledger.due(name, "retrain"):
        return None
    return f"no retrain of {name} is due any more; to retrain all the same, trigger this DAG by hand"


def skip_night(context: "Context", why: str | None) -> None:
    """Skip a night that has nothing to learn from; the ledger keeps the reason, as it keeps that of every other skip."""
    if why:
        from ml import decide

        decide.skipped(context, why)
        skip(why)


def decided(context: "Context") -> dict[str, Any]:
    """Whether this run trains; where it does not, the task is skipped and shows the reason as its XCom `why`."""
    from ml import decide

    skip_if(only_data(context))
    record = decide.run(context)
    if not record.train:
        get_current_context()["ti"].xcom_push(key="why", value=record.why)
        skip(record.why)
    return done(record)


def only_data(context: "Context") -> str | None:
    """Why a run ends once its rows are validated: a backfill of a month would train thirty models that nobody asked for."""
    return "a backfill brings data; the next night learns from it" if context.reason == "backfill" else None


def skip(why: str) -> NoReturn:
    """End this task, and what follows it, without fault."""
    log.info("Skipped: %s.", why)  # Airflow's own line says only that a task was skipped
    raise AirflowSkipException(why)


def skip_if(why: str | None) -> None:
    """Skip when there is a reason to."""
    if why:
        skip(why)


def done(record: "Record | None", otherwise: str = "nothing is due") -> dict[str, Any]:
    """Log what a stage found out in one line, and hand it on as a small dict; no record is a skip, `otherwise` says why."""
    if record is None:
        skip(otherwise)
    log.info("%s", summary(record))
    return small(record)


def rolled_out(context: "Context") -> dict[str, Any]:
    """Deploy the champion; while its rollout goes on the task gives its slot back and looks again later.

    Where a person asked for the way back, the earlier champion becomes champion first. A run in which somebody asked to hold it
    ends: the run that carries the rollout waits.
    """
    from ml import deploy, promote
    from ml.records import RollingOut

    if asked := runs.way_back():
        log.info("%s", summary(promote.rollback(context, **asked)))  # the run's key names the move: a retry moves once
    skip_if(deploy.done_by_another(context))
    record = deploy.run(context, runs.wished())
    if not isinstance(record, RollingOut):
        return done(record, otherwise="there is no champion to deploy yet")
    log.info("%s", summary(record))
    if record.held and get_current_context()["params"].get("order") == "hold":
        return small(record)
    raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=record.check_after_s))


def announce(context: "Context", *kinds: str) -> dict[str, Any]:
    """Let this task's asset event go out when work of these kinds is due, else skip: a skipped task sends no event."""
    name = context.problem.name
    due = [work for kind in kinds for work in context.ledger.due(name, kind)]
    if not due:
        skip(f"nothing of kind {' or '.join(map(repr, kinds))} is due for {name}, so there is nothing to announce")
    keys = [work.key for work in due]
    log.info("Announced: %s is due for %s: %s.", due[-1].kind, name, ", ".join(keys))
    return {"kind": due[-1].kind, "due": keys}


def tell(context: "Context") -> dict[str, Any]:
    """Let this task's asset event go out when there is something that people were not told yet, else skip."""
    from ml import monitor

    told = monitor.news(context)
    skip_if(None if told else f"there is nothing new to tell about {context.problem.name}")
    for why in told:
        log.warning("People are told: %s", why)
    return {"told": len(told)}


def backtested(problem: ProblemFile) -> dict[str, Any]:
    """Replay what the form asks for; an empty span is the 90 days up to today."""
    from ml import backtest
    from ml.window import Window, local_day

    context, params = runs.open_run(problem), get_current_context()["params"]
    last = date.fromisoformat(params["last"]) if params["last"] else local_day(context.settings.now(), problem.timezone)
    first = date.fromisoformat(params["first"]) if params["first"] else last - timedelta(days=90)
    asked = backtest.Asked(
        Window(first, last), tuple(params["policies"]), every=params["every"], share=params["share"], workers=params["workers"]
    )
    return done(backtest.run(context, asked, backtest.Past(sample=params["sample"])))


def follow_alias(context: "Context") -> "Followed | None":
    """Obey or undo what a hand did to the alias in MLflow.

    Raises: RefusedError: it was put back, and nothing is due that this task should go on with.
    """
    from ml import follow
    from ml.errors import RefusedError

    followed = follow.run(context)
    if (
        followed
        and not followed.obeyed
        and not any(context.ledger.due(context.problem.name, kind) for kind in ("deploy", "promote"))
    ):
        raise RefusedError(followed.why)
    return followed


def alias_by_hand(problem: str) -> str | None:
    """What a hand did to the alias in MLflow, as far as can be known now; for the triggerer, outside any run."""
    from ml import context, follow
    from ml.errors import EvergreenError

    try:
        return follow.glance(context.open_run(problem, "alias"))
    except EvergreenError as error:
        log.warning("%s: %s", type(error).__name__, error)
        return None


def summary(record: "Record") -> str:
    """One line for the log: the record's own sentence, or its short fields."""
    sentence = getattr(record, "sentence", None)
    if sentence:
        return f"{record.stage}: {sentence}"
    short = {name: value for name, value in record if isinstance(value, str | int | float) or hasattr(value, "isoformat")}
    return f"{record.stage}: " + ", ".join(f"{name.removeprefix('num_')} {value}" for name, value in short.items())


def small(record: "Record") -> dict[str, Any]:
    """The record as plain JSON without its long fields; the whole stands in the run's folder.

    Numbers that are not finite become text, because a PostgreSQL that holds Airflow's tables refuses them in JSON.
    """
    fields = {name: _plain(value) for name, value in record.model_dump(mode="json").items()}
    return {name: value for name, value in fields.items() if len(json.dumps(value)) <= FIELD_BYTES}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
