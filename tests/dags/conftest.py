"""Problem files as small as a DAG needs them, and the DAG folder parsed in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PARSER = Path(__file__).parent / "parse_dags.py"
Parse = Callable[..., dict[str, Any]]

PROBLEM = """
[problem]
name = "{name}"
title = "Will the {name} be late?"
task = "binary"
owner = "team {name}"
[source]
table = "{name}"
key = "id"
event_time = "at"
label = "late"
label_time = "known_at"
timezone = "America/New_York"
[features]
carrier = {{type = "category"}}
[schedule]
retrain = "15 2 * * *"
[gate]
approval = "{approval}"
"""


def write_problems(folder: Path, *names: str, approval: str = "auto") -> Path:
    """A folder with one good problem file per name."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.toml").write_text(PROBLEM.format(name=name, approval=approval))
    return folder


@pytest.fixture(scope="session")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Parse the DAG folder against a folder of problem files, on an Airflow without any configuration of ours."""

    def run(problems: Path, **environment: str) -> dict[str, Any]:
        home = tmp_path_factory.mktemp("airflow")
        result = home / "result.json"
        foreign = ("AIRFLOW_", "EVERGREEN_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        clean |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "EVERGREEN_PROBLEMS": str(problems),
            "PYTHONPATH": str(PROJECT),
        }
        command = [sys.executable, str(PARSER), str(PROJECT / "dags"), str(result)]
        done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    return run


@pytest.fixture(scope="session")
def two(parse: Parse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes out of two problem files."""
    return parse(write_problems(tmp_path_factory.mktemp("problems"), "flights", "complaints"))
