"""What Airflow itself knows of our DAGs, by its tables: what runs, what waits for a person, how far the tasks of a run are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

WAITING = ("awaiting_input", "deferred")
RECENT = 200  # runs among which the one of a run key is looked for
SHOWN = 20  # runs and questions that a page shows


@dataclass(frozen=True)
class Link:
    """Something to follow. `target`: `_top` for Airflow's own pages, `_blank` for other programs, nothing for ours."""

    says: str
    href: str
    target: str = ""


@dataclass(frozen=True)
class Now:
    """What is going on, by DAG."""

    running: Mapping[str, list[Link]]
    questions: Mapping[str, list[Link]]


def now(dag_ids: Iterable[str], base: str) -> Now:
    """Runs under way, and questions that nobody has answered."""
    from airflow.models.dagrun import DagRun
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    wanted = list(dag_ids)
    running: dict[str, list[Link]] = {name: [] for name in wanted}
    questions: dict[str, list[Link]] = {name: [] for name in wanted}
    with create_session() as session:
        asked = (
            select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
            .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
            .where(TaskInstance.dag_id.in_(wanted), HITLDetail.responded_at.is_(None), TaskInstance.state.in_(WAITING))
            .order_by(HITLDetail.created_at.desc())
        )
        waits = session.execute(asked.limit(SHOWN)).all()
        going = select(DagRun.dag_id, DagRun.run_id).where(DagRun.dag_id.in_(wanted), DagRun.state.in_(("running", "queued")))
        under_way = session.execute(going.order_by(DagRun.run_after.desc()).limit(SHOWN)).all()
    for dag_id, run_id, task_id in waits:
        href = f"{_run(base, dag_id, run_id)}/tasks/{quote(task_id)}/required_actions"
        questions[dag_id].append(Link("waits for your answer", href, "_top"))
    for dag_id, run_id in under_way:
        if (dag_id, run_id) not in {(one[0], one[1]) for one in waits}:
            running[dag_id].append(Link(f"{dag_id.partition('_')[0]} is running", _run(base, dag_id, run_id), "_top"))
    return Now(running, questions)


def tasks(dag_id: str, run_key: str, base: str) -> tuple[dict[str, str], Link | None]:
    """States of the tasks of the run with this key, and the way to it; nothing when Airflow has forgotten the run."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from retraining import runs

    with create_session() as session:
        recent = select(DagRun.run_id).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after.desc()).limit(RECENT)
        run_id = next((one for one in session.scalars(recent) if runs.run_key(one) == run_key), None)
        if run_id is None:
            return {}, None
        found = select(TaskInstance.task_id, TaskInstance.state)
        states = session.execute(found.where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)).all()
    return {task: str(state) for task, state in states if state}, Link("The run in Airflow", _run(base, dag_id, run_id), "_top")


def is_paused(dag_id: str) -> bool:
    """Whether runs of a DAG wait until somebody unpauses it."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.get(DagModel, dag_id)
        return bool(found and found.is_paused)


def _run(base: str, dag_id: str, run_id: str) -> str:
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
