"""Is everything as a good night leaves it? Asked of the parts themselves, not of what was written down on the way."""

from contextlib import closing
from typing import Any

import httpx

from ml import database
from ml import problem as problems
from ml.context import Context
from ml.embedded.stack import Stack
from ml.ledger import Ledger
from ml.tables import DAY
from ml.window import Window


def complaints(stack: Stack, problem: str, nights: list[dict[str, Any]]) -> list[str]:
    """What is not as it should be, a sentence each; empty when all is well."""
    found = [sentence for night in nights for sentence in rows(night) + _traffic(night)]
    found += _tables(stack, problem, nights[-1]) if nights else []
    return (
        found
        + _promoted(stack, problem, nights)
        + _service(stack)
        + _runs(stack, problem, nights)
        + _champions(stack, problem, nights)
    )


def rows(night: dict[str, Any]) -> list[str]:
    """What is wrong with a night's rows: some must have come, and none may be lost."""
    told = night["rows"]
    if told["ingested"] > 0 and told["ingested"] == told["valid"] + told["quarantined"]:
        return []
    return [f"{night['run_key']}: rows do not reconcile: {told}; valid and quarantined must add up to ingested, more than 0."]


def _tables(stack: Stack, problem: str, night: dict[str, Any]) -> list[str]:
    """What the last night told of its rows must be what lies in the tables."""
    context = Context(problems.load(problem, stack.problems), stack.settings, night["run_key"])
    window, told = Window.parse("/".join(night["window"])), night["rows"]
    tables = {"ingested": context.table("raw"), "valid": context.table("valid"), "quarantined": context.table("quarantine")}
    counted = {name: table.read(window, columns=[DAY]).num_rows for name, table in tables.items()}
    return [f"{night['run_key']}: told {told}, but the tables hold {counted}."] if counted != told else []


def _traffic(night: dict[str, Any]) -> list[str]:
    failed = (night["traffic"] or {}).get("failed", 0)
    return [f"{night['run_key']}: the service refused {failed} of the day's rows."] if failed else []


def _promoted(stack: Stack, problem: str, nights: list[dict[str, Any]]) -> list[str]:
    """A yes, where no person is asked, must have moved the champion."""
    if problems.load(problem, stack.problems).gate.approval != "auto":
        return []
    moved = {entry.run_key for entry in Ledger(stack.settings.database_url).entries(problem) if entry.kind == "promote"}
    said_yes = [night["run_key"] for night in nights if night["verdict"]["decision"] == "promote"]
    return [
        f"{run_key}: the verdict is promote, but the ledger has no promotion of it."
        for run_key in said_yes
        if run_key not in moved
    ]


def _service(stack: Stack) -> list[str]:
    """What the service itself complains about, and answers that its log lost."""
    health = httpx.get(f"{stack.serving_url}/health", timeout=60, trust_env=False).json()
    lost = [f"The request log dropped {health['log']['dropped']} rows."] if health["log"]["dropped"] else []
    return lost + [f"The service complains: {sentence}" for sentence in health["complaints"]]


def _runs(stack: Stack, problem: str, nights: list[dict[str, Any]]) -> list[str]:
    """Every run of the problem's DAGs must have succeeded, in Airflow's own database."""
    with closing(database.connect(stack.postgres.url("airflow"))) as connection, connection.cursor() as cursor:
        dags = [f"{kind}_{problem}" for kind in ("retrain", "promote", "deploy", "monitor")]
        cursor.execute("SELECT dag_id, run_id, state FROM dag_run WHERE dag_id = ANY(%s)", (dags,))
        states = {(dag_id, run_id): state for dag_id, run_id, state in cursor.fetchall()}
    listed = {(run["dag_id"], run["run_id"]) for night in nights for run in night["dag_runs"]}
    absent = [f"Airflow's database has no run {dag_id} {run_id}." for dag_id, run_id in sorted(listed - set(states))]
    ended = sorted((dag, run, states[dag, run]) for dag, run in listed & set(states))
    bad = [f"{dag} {run} is {state} in Airflow's database." for dag, run, state in ended if state != "success"]
    return absent + bad


def _champions(stack: Stack, problem: str, nights: list[dict[str, Any]]) -> list[str]:
    """MLflow's alias, the service's answer and the ledger must name one version."""
    ledger = Ledger(stack.settings.database_url)
    champion = ledger.champion(problem)
    answer = (nights[-1]["serving"]["answer"] or {}) if nights else {}
    versions = {
        "the ledger": champion.version if champion else None,
        "MLflow's alias champion": _alias(stack, problem),
        "the service's answer": answer.get("version"),
    }
    told = [f"The ledger is broken: {sentence}" for sentence in ledger.verify()]
    if len(set(versions.values())) != 1:
        told.append("The champion differs: " + ", ".join(f"{who} says {version}" for who, version in versions.items()) + ".")
    return told


def _alias(stack: Stack, problem: str) -> int | None:
    """Asked over REST: importing MLflow for one question costs seconds."""
    response = httpx.get(
        f"{stack.mlflow_url}/api/2.0/mlflow/registered-models/alias",
        params={"name": problem, "alias": "champion"},
        timeout=60,
        trust_env=False,
    )
    if response.is_success:
        return int(response.json()["model_version"]["version"])
    return None
