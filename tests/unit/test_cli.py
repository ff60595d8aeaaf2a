"""The command line: help everywhere, one exit status per outcome, errors in words and without a traceback."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ml.settings import PROJECT

COMMANDS = (
    "problems", "problem check", "problem describe", "data flights", "data complaints", "data show", "data report", "data log",
    "data diff", "data checkout", "data vacuum", "lineage batch", "lineage version", "lineage prediction", "run", "monitor",
    "ledger show", "ledger verify", "ledger champion", "status", "promote", "deploy", "rollback", "quarantine list",
    "quarantine show", "quarantine release", "quarantine discard", "expectations draft", "expectations check", "contract show",
    "contract diff", "contract accept", "fleet", "brief", "erase", "tune", "rehearse", "backtest",
)  # fmt: skip


def ml(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    environment = kept | {f"EVERGREEN_{name}": value for name, value in settings.items()} | {"COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "ml", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=120, check=False)


def test_every_command_has_help():
    from typer.testing import CliRunner

    from ml.cli.app import app

    for command in COMMANDS:
        shown = CliRunner().invoke(app, [*command.split(), "--help"])
        assert shown.exit_code == 0, command
        assert "Usage" in shown.output


def test_problems_are_listed_as_json():
    done = ml("problems", "--json")
    assert done.returncode == 0
    assert {"flights", "complaints"} <= {row["name"] for row in json.loads(done.stdout)}


def test_describe_explains_every_key():
    rows = json.loads(ml("problem", "describe", "--json").stdout)
    assert len(rows) > 60
    assert [row["key"] for row in rows if not row["meaning"]] == []
    told = {row["key"]: row for row in rows}
    assert told["features.<column>.type"]["choices"] == ["category", "number", "text", "boolean", "datetime", "zip"]
    assert told["training.layers"]["default"] == "[64, 32]", "as TOML spells it"
    assert "dropout = { low = 0.0, high = 0.6 }" in told["tune.vary"]["default"]
    assert told["contract.stop"]["default"] == "true"
    assert told["validation.history.row_count.warning"]["default"] == "0.4"
    assert "median of that weekday" in told["validation.history.row_count.warning"]["meaning"]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("problem", "check", "fligths"), {}, "ConfigError: Unknown problem 'fligths'"),
        (("problems",), {"STOER": "x"}, "ConfigError: Unknown setting EVERGREEN_STOER"),
        (("ledger", "show"), {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, "TransientError: "),
        (("run", "train", "--problem", "flights", "--run", "never-ran"), {"STORE": "/nonexistent"}, "Run that stage first"),
        (("run", "ingest", "--problem", "flights", "--window", "soon"), {"STORE": "/nonexistent"}, "'soon' is no window"),
    ],
    ids=["problem", "setting", "database", "stage", "window"],
)
def test_a_stated_reason_ends_with_one_and_no_traceback(arguments, settings, message):
    done = ml(*arguments, **settings)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("erase", "--subject", "somebody"), "Say --why"),
        (("contract", "accept", "--why", " "), "Say --why"),
        (("quarantine", "discard", "--key", "7", "--why", ""), "Say --why"),
        (("lineage", "batch", "2013-01-31", "--undo"), "Say --why"),
        (("lineage", "batch", "2013-01-31", "--include", "--dry-run", "--why", "all is well"), "nothing was done"),
    ],
    ids=["erase", "accept", "discard", "undo", "include"],
)
def test_what_cannot_be_taken_back_silently_asks_for_a_reason(arguments, message):
    done = ml(*arguments, "--problem", "flights", STORE="/nonexistent")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert message in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "report", "--out"),
        ("data", "diff", "0", "--html"),
        ("expectations", "draft", "--out"),
        ("lineage", "batch", "2013-01-31", "--out"),
    ],
    ids=["report", "diff", "draft", "batch"],
)
def test_a_file_that_cannot_be_written_is_named_before_the_work_begins(arguments, tmp_path):
    for place, told in ((tmp_path / "no" / "page.html", "is no folder"), (tmp_path, "is a folder")):
        done = ml(*arguments, str(place), "--problem", "flights", STORE="/nonexistent")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert told in done.stderr


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("verdict", {"verdict": {"decision": "promote", "rules": [{"rule": "freshness", "holds": True}]}}, "promote"),
        ("verdict", {"verdict": {"decision": "reject", "rules": [{"rule": "freshness", "holds": False}]}}, "reject: freshness"),
        ("contract", {"why": "cents\nsince March"}, "cents since March"),
        ("rollback", {"comment": "x" * 300}, "x" * 99 + "…"),
        ("deployed", {"url": "http://127.0.0.1"}, ""),
    ],
    ids=["promote", "reject", "why", "long", "nothing"],
)
def test_the_list_of_entries_says_what_was_decided_or_why(kind, body, told):
    from ml.cli.state import _said
    from ml.ledger import Entry

    assert _said(Entry(1, "flights", kind, "k", None, None, "me", datetime.now(UTC), body, "")) == told


@pytest.mark.parametrize(
    "arguments", [("run",), ("no-such-command",), ("run", "cook", "--problem", "flights"), ("promote", "-p", "x")]
)
def test_wrong_usage_ends_with_two(arguments):
    assert ml(*arguments).returncode == 2
