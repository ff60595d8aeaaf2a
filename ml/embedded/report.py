"""The end of a demo: what happened, why, and where to look."""

from typing import Any

from rich.console import Console
from rich.table import Table

from ml.embedded.stack import AIRFLOW_USER, Stack
from ml.registry import Registry
from ml.scoring import in_words

SIDES = ("candidate", "champion", "baseline")


def show(console: Console, stack: Stack, problem: str, nights: list[dict[str, Any]]) -> None:
    """Print the report of the nights that were played."""
    for night in nights:
        console.rule(f"{problem}, {night['run_key']}")
        _night(console, night)
    console.rule("where to click")
    links(console, stack, problem, nights[-1]["version"] if nights else None)


def links(console: Console, stack: Stack, problem: str, version: int | None) -> None:
    """Addresses, with what is needed to log in."""
    registry = Registry(stack.mlflow_url)
    model = registry.version_url(problem, version) if version else registry.model_url(problem)
    login = f"user {AIRFLOW_USER}, password {stack.secrets.airflow_password}"
    for line in (
        f"Airflow            {stack.airflow_url}/dags/retrain_{problem}   {login}",
        f"MLflow             {model}",
        f"Prediction service {stack.serving_url}/docs",
        f"Logs, records      {stack.home}/logs, {stack.home}/store/{problem}/runs",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _night(console: Console, night: dict[str, Any]) -> None:
    rows, verdict, serving = night["rows"], night["verdict"], night["serving"]
    parts = f"{rows['valid']:,} valid + {rows['quarantined']:,} quarantined"
    for line in (
        f"Rows      {rows['ingested']:,} ingested = {parts}, {_span(night)}",
        f"Rehearsal {night['rehearsal']}",
        f"Verdict   {verdict['sentence']}",
        f"Serving   version {night['version'] or 'none'}{_answer(serving['answer'])}",
        f"Traffic   {_traffic(night['traffic'])}",
        f"Monitor   {(night['monitor'] or {}).get('reason', 'did not run')}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(_metrics(night["metrics"]))
    console.print(_rules(verdict["rules"]))
    parts = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in night["seconds"].items() if seconds >= 0.05)
    line = f"Seconds   {night['total_seconds']:.0f} in all: {parts}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _span(night: dict[str, Any]) -> str:
    return f"days {night['window'][0]} up to {night['window'][1]}"


def _answer(answer: dict[str, Any] | None) -> str:
    if not answer or not answer.get("predictions"):
        return ""
    first = answer["predictions"][0]
    return f"; asked about {first['key']} it says {in_words(first)}"


def _traffic(traffic: dict[str, int] | None) -> str:
    return f"{traffic['sent']:,} rows sent, {traffic['failed']:,} refused" if traffic else "none"


def _metrics(metrics: dict[str, Any]) -> Table:
    """One line per metric, one column per model, each value with its interval."""
    table = Table("metric", *SIDES, title="on the test rows, with intervals", title_justify="left")
    for name in metrics["candidate"]:
        table.add_row(name, *(_interval((metrics[side] or {}).get(name)) for side in SIDES))
    return table


def _interval(interval: dict[str, float] | None) -> str:
    return "-" if interval is None else f"{interval['value']:.4f} [{interval['low']:.4f}, {interval['high']:.4f}]"


def _rules(rules: list[dict[str, Any]]) -> Table:
    table = Table("rule", "value", "limit", "holds", title="the gate", title_justify="left")
    for rule in rules:
        numbers = ["-" if rule[name] is None else f"{rule[name]:.4g}" for name in ("value", "limit")]
        table.add_row(rule["rule"], *numbers, "yes" if rule["holds"] else "NO")
    return table
