"""Nobody is called by an alert that the runbook does not know, and no rule asks for a figure that nobody exposes."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml.notify import KINDS
from ml.serving import metrics
from tests import runbook

NOT_OURS = {"up"}  # Prometheus' own


def exposed() -> set[str]:
    """Names of every sample that the service can expose."""
    held = metrics.Held({}, lambda: {"written": 0, "dropped": 0, "waiting": 0, "error": ""}, lambda name: None)  # type: ignore[arg-type,return-value]
    families = list(text_string_to_metric_families(metrics.exposition(held).decode()))
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + end for family in families for end in ends[family.type]}


def asked(expression: str) -> set[str]:
    """Names of the series that a rule looks at."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)', "", expression)
    return set(re.findall(r"\b(?:evergreen_\w+|up)\b", bare)) | set(re.findall(r"\b[a-z]\w*_(?:total|bucket|seconds)\b", bare))


def test_the_runbook_says_what_alerts_rules_and_dags_say():
    text = runbook.RUNBOOK.read_text()
    assert text == runbook.filled(text), "run `python -m tests.runbook`"


def test_every_alert_and_every_rule_has_its_heading():
    anchors = runbook.anchors(runbook.RUNBOOK.read_text())
    assert len(runbook.rules()) >= 10
    assert set(KINDS) <= anchors
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in runbook.rules()} <= anchors


@pytest.mark.parametrize("rule", runbook.rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_what_to_do_and_looks_at_figures_that_exist(rule):
    assert {"summary", "means", "do", "runbook"} <= set(rule["annotations"])
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert rule["labels"]["severity"] in ("warning", "critical")
    names = asked(rule["expr"])
    assert names
    assert names - NOT_OURS <= exposed()


def test_a_misspelt_figure_would_be_seen():
    assert asked('rate(evergreen_answer_second_bucket{problem="x"}[5m])') - exposed() == {"evergreen_answer_second_bucket"}


def test_every_command_of_the_runbook_is_one():
    import typer

    from ml.cli.app import app

    root = typer.main.get_command(app)
    for line in re.findall(r"python -m ml ([a-z]+)", runbook.RUNBOOK.read_text()):
        assert line in root.commands  # type: ignore[attr-defined]


def test_there_are_game_days():
    assert len(runbook.game_days(runbook.RUNBOOK.read_text())) >= 3
