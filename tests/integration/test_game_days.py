"""The runbook's commands, typed as they stand, on a real night: PostgreSQL, the store, the ledger."""

import subprocess
import sys
from pathlib import Path

import pytest

from ml.settings import PROJECT
from tests import runbook

BLOCKS = runbook.game_days(runbook.RUNBOOK.read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a dozen commands, each a process of its own
def test_every_game_day_goes_as_the_runbook_says(home, mlflow_file, monkeypatch):
    (home / "routes.toml").write_text('[routes]\ndefault = "json://127.0.0.1:9/away"\n')  # nothing listens there
    monkeypatch.setenv("EVERGREEN_ALERTS", str(home / "routes.toml"))
    monkeypatch.setenv("EVERGREEN_MLFLOW_URL", mlflow_file)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    away, *others = [line for block in BLOCKS for line in block.strip().splitlines()]
    assert "alerts test" in away
    tried = typed(away)
    assert tried.returncode == 1
    assert "default: Route 'default' took no message" in tried.stdout
    said = {line: typed(line) for line in others}
    failed = {line: done.stderr for line, done in said.items() if done.returncode != 0}
    assert failed == {}
    assert "the chain is whole" in said["python -m ml ledger verify"].stdout
    assert "snoozed" in said["python -m ml ledger show --problem flights"].stdout


def typed(line: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600, cwd=PROJECT)
