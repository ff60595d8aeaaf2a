"""What Airflow knows of a run, told to `ml`: why it exists, which window it is about, what its form says and who filled it in.

`ml` is imported inside the functions, because DAG files import this module at every parse.
"""

import hashlib
import multiprocessing
import os
import re
from collections.abc import Mapping
from multiprocessing import process
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from airflow.sdk import get_current_context

from retraining import pages
from retraining.problems import ProblemFile

if TYPE_CHECKING:
    from ml.context import Context, Reason
    from ml.deploy.rollout import Asked

BACK = "back"  # order in the form of a deployment
SHOWN = {  # per kind of DAG, what its runs write for people
    "retrain": {"what was validated": "validation.html", "the data": "data.html"},
    "monitor": {"dossier": "dossier.html"},
}


def allow_processes() -> None:
    """Let this task start processes of its own, as training and rehearsal do.

    A task on Celery is a fork of a worker's child. From there it inherits a process object of Celery's library, which says that
    it is a daemon (Python lets those have no children) and does not pickle. This one is as a main process has it.
    """
    if multiprocessing.current_process().daemon:  # there is no public way
        own = process.BaseProcess(name="task")
        own._config = {"authkey": process.AuthenticationString(os.urandom(32)), "semprefix": "/mp"}  # type: ignore[attr-defined]
        process._current_process = own  # type: ignore[attr-defined]


def open_run(problem: ProblemFile) -> "Context":
    """The context of this DAG run, for any of its stages.

    Raises: ConfigError: the run was given a parameter that the form does not have, or the problem file is wrong.
    """
    from ml import context

    allow_processes()
    airflow = get_current_context()
    run, params = airflow["dag_run"], airflow["params"]
    refuse_unknown(run.conf or {}, known=list(airflow["dag"].params))
    return context.open_run(
        problem.name,
        run_key(run.run_id),
        reason=reason_of(str(run.run_type.value), dag_id=run.dag_id),
        window=window_of(run, params, problem),
        dry_run=bool(params.get("dry_run", False)),
        pages=pages_of(run, problem),
    )


def pages_of(run: Any, problem: ProblemFile) -> tuple[tuple[str, str], ...]:
    """What of a retrain, or of a look of the monitor, is to be seen in Airflow, and where; nothing of other runs."""
    from airflow.sdk.configuration import conf

    here = str(conf.get("api", "base_url", fallback="")).rstrip("/")
    kind = run.dag_id.partition("_")[0]
    if kind not in SHOWN:
        return ()
    told = {"the run in Airflow": f"/dags/{run.dag_id}/runs/{quote(run.run_id)}"}
    told |= {name: pages.address(problem.name, run_key(run.run_id), page) for name, page in SHOWN[kind].items()}
    return tuple((name, here + path) for name, path in told.items())


def run_key(run_id: str) -> str:
    """The run id as a folder name.

    A name that had to be changed ends in a hash of the id, so that no two runs ever share a folder.
    """
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)[:190]
    if not re.match(r"[A-Za-z0-9]", safe):
        safe = f"run{safe}"
    return safe if safe == run_id else f"{safe}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def reason_of(run_type: str, *, dag_id: str) -> "Reason":
    """Why a run exists. Only a retrain is started by drift; the other DAGs' events are part of the nightly course."""
    if run_type == "backfill":
        return "backfill"
    if run_type == "asset_triggered":
        return "drift" if dag_id.startswith("retrain_") else "schedule"
    return "schedule" if run_type == "scheduled" else "manual"


def window_of(run: Any, params: Mapping[str, Any], problem: ProblemFile) -> str | None:
    """The window that was asked for; a backfill asks for the day its run stands for, in the problem's time zone.

    Raises: ConfigError: a backfill with a window, which each of its runs would repeat.
    """
    from ml.errors import ConfigError

    asked: str | None = params.get("window")
    if run.run_type.value != "backfill":
        return asked
    if asked:
        raise ConfigError(f"A backfill takes each run's own day, but window = {asked!r} was given too. Leave the window empty.")
    return str(run.logical_date.astimezone(ZoneInfo(problem.timezone)).date())


def asked_by_hand(run: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the form of a promotion says, and who filled it in: a run that an event started has no person behind it."""
    asked = {"version": params.get("version"), "comment": params.get("comment") or ""}
    person = run.triggering_user_name
    return asked | {"actor": f"airflow:{person}"} if person else asked


def wished() -> "Asked":
    """What the form says, and who filled it in; it is asked once, however often the task looks."""
    from ml.deploy.rollout import Asked

    airflow = get_current_context()
    params, person = airflow["params"], airflow["dag_run"].triggering_user_name
    actor = f"airflow:{person}" if person else "deploy"
    order = params.get("order")
    return Asked(params.get("mode"), None if order == BACK else order, actor, params.get("comment") or "")


def way_back() -> dict[str, Any] | None:
    """The earlier champion that the form of a deployment asks for, and who asks; None when it does not ask for one.

    Raises: ConfigError: a version without the order to go back to it.
    """
    from ml.errors import ConfigError

    params, asked = get_current_context()["params"], wished()
    if params.get("order") == BACK:
        return {"to": params.get("version"), "actor": asked.actor, "comment": asked.comment}
    if params.get("version") is not None:
        raise ConfigError(f"version = {params['version']} needs order = {BACK!r}: only the way back goes to a version by number.")
    return None


def refuse_unknown(conf: Mapping[str, Any], *, known: list[str]) -> None:
    """Airflow takes any key in a run's configuration without a word, so a typo would silently do nothing.

    Raises: ConfigError: a key that is not one of the form's fields.
    """
    from ml.errors import ConfigError

    unknown = sorted(set(conf) - set(known))
    if unknown:
        raise ConfigError(
            f"This run was given {', '.join(map(repr, unknown))}, which this DAG does not know. "
            f"Known: {', '.join(map(repr, known)) or 'no parameters at all'}. Trigger it again with one of these."
        )
