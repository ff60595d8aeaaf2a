"""A replay of real flights, small but whole: killed and gone on with, and beside one whose future was tampered with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ml import problem as problems
from ml import samples
from ml.backtest import history
from ml.backtest.asked import Asked
from ml.problem import Problem
from ml.settings import PROJECT
from ml.store import digest
from ml.tables import DAY, Table
from ml.window import Window

pytestmark = pytest.mark.timeout(2000)  # a busy machine is no finding
PATIENCE_S = 900
SPAN = Window.parse("2013-02-10/2013-02-12")
POLICIES = ("nightly", "drift")
CHANGES = {  # as small as it can be and still go through every stage
    r"^(carrier|dest|distance|sched_minutes|plane_\w+|humid|wind_\w+|precip) = .*\n": "",
    r"^layers = .*$": "layers = [4]\nepochs = 2",
    r"^train_days = .*$": "train_days = 20\nminimum_rows = 50",
    r"^slices = .*$": 'must_beat = ["prior"]\nbeside = []',
    r"^floors = .*$": "floors = {}\nminimum_rows = 100",
    r"^non_inferiority_margin = \S+": "non_inferiority_margin = 0.3",
    r"^baseline_margin = \S+": "baseline_margin = 0.3",
    r"^calibration = \S+": "calibration = 0.9\ncalibration_slope = 0.0",
}


class Home:
    """A store whose table `valid` holds a past, and settings that lead there."""

    def __init__(self, folder: Path, rows: pa.Table) -> None:
        self.folder = folder
        folder.mkdir()
        text = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
        for pattern, new in CHANGES.items():
            text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
            assert count, pattern
        (folder / "flights.toml").write_text(text)
        days = sorted(rows[DAY].unique().to_pylist())
        whole = Window.parse(f"{days[0]}/{SPAN.end + timedelta(days=4)}")
        Table(folder / "store" / "flights" / "tables" / "valid").replace(whole, rows)

    def start(self, *more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "ml", "backtest", "--problem", str(self.folder / "flights.toml"), "--json"]
        command += ["--from", str(SPAN.start), "--to", str(SPAN.end), "--policies", ",".join(POLICIES), "--workers", "2", *more]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
        places = {"EVERGREEN_STORE": self.folder / "store", "EVERGREEN_CACHE": self.folder / "cache"}
        clean |= {name: str(value) for name, value in places.items()} | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / "log").open("w") as log:
            return subprocess.Popen(command, cwd=PROJECT, env=clean, stdout=subprocess.PIPE, stderr=log, text=True)

    def run(self, *more: str) -> dict[str, Any]:
        process = self.start(*more)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (self.folder / "log").read_text()[-3000:]
        found: dict[str, Any] = json.loads(out)
        return found

    @property
    def replayed(self) -> Path:
        [found] = (self.folder / "cache" / "backtests" / "flights").iterdir()
        return found

    def nights(self, policy: str) -> list[dict[str, Any]]:
        """How every night went, but for what depends on the clock on the wall."""
        paths = sorted((self.replayed / "policies" / policy / "nights").glob("*.json"))
        told = [json.loads(path.read_text()) for path in paths]
        return [{name: value for name, value in one.items() if not name.endswith("_seconds")} for one in told]

    def answers(self, policy: str, columns: Sequence[str]) -> list[list[dict[str, Any]]]:
        paths = sorted((self.replayed / "policies" / policy / "answers").glob("*.parquet"))
        return [pq.read_table(path, columns=list(columns)).to_pylist() for path in paths]

    def models(self) -> set[str]:
        """The weights of every model that was trained, to the bit; its export holds times and temporary names."""
        return {digest(path) for path in self.replayed.glob("trainings/*/weights.npz")}


@pytest.fixture(scope="module")
def about() -> Problem:
    return problems.load("flights", PROJECT / "ml" / "problems")


@pytest.fixture(scope="module")
def rows(about: Problem) -> pa.Table:
    """A third of the flights up to the last night's answers, with all that is known about them by now."""
    whole = history.of_sample(samples.SAMPLES["flights"].read(None), about)
    return history.thinned(whole.filter(pc.less(whole[DAY], str(SPAN.end + timedelta(days=2)))), "flight_id", 0.35)


@pytest.fixture(scope="module")
def killed(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any], list[int]]:
    """A replay that was killed within its nights and asked for again; what it told; what ran on after the kill."""
    home = Home(tmp_path_factory.mktemp("backtest") / "home", rows)
    process = home.start("--keep", "--run", "first")
    end = time.monotonic() + PATIENCE_S
    while not list(home.folder.glob("cache/backtests/flights/*/policies/*/nights/*.json")):
        assert process.poll() is None, (home.folder / "log").read_text()[-3000:]
        assert time.monotonic() < end
        time.sleep(0.05)
    children = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return home, home.run("--keep", "--run", "first"), children


@pytest.fixture(scope="module")
def tampered(rows: pa.Table, about: Problem, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same past, but what became known after the last night is a signal: labels turned round, a feature that is the label."""
    moment = pa.scalar(Asked(SPAN).nights(about)[-1][0], pa.timestamp("us", "UTC"))
    label = pc.if_else(pc.greater(rows["outcome_at"], moment), pc.invert(rows["late_15"]), rows["late_15"])
    leak = pc.if_else(pc.greater(rows["available_at"], moment), pc.cast(label, pa.float64()), rows["visib"])
    planted = rows.set_column(rows.column_names.index("late_15"), "late_15", label)
    home = Home(tmp_path_factory.mktemp("tampered") / "home", planted.set_column(rows.column_names.index("visib"), "visib", leak))
    home.run("--keep")
    return home


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_a_killed_replay_goes_on_and_plays_every_night_once(killed):
    home, told, _ = killed
    for policy in POLICIES:
        nights = home.nights(policy)
        assert [night["night"] for night in nights] == ["2013-02-10", "2013-02-11"]
        assert all(night["num_rows"] > 100 and night["answered_by"] for night in nights)
        assert not any(night["failed"] for night in nights)
    assert [night["trained"] for night in home.nights("nightly")] == [True] * 2
    assert home.nights("drift")[0]["trained"]
    assert {one["policy"]: one["num_trained"] for one in told["policies"]}["nightly"] == 2


def test_nothing_runs_on_when_a_replay_is_killed(killed):
    _, _, children = killed
    assert children
    assert [pid for pid in children if psutil.pid_exists(pid) and "backtest-" in " ".join(psutil.Process(pid).cmdline())] == []


def test_a_signal_planted_in_the_future_changes_no_decision_no_model_and_no_answer(killed, tampered):
    plain, _, _ = killed
    for policy in POLICIES:
        assert tampered.nights(policy) == plain.nights(policy)
        before, after = (home.answers(policy, ("key", "score"))[:-1] for home in (plain, tampered))
        assert before == after
        assert [len(night) > 100 for night in before] == [True]
    assert tampered.models() == plain.models()


def test_and_the_planted_signal_is_there_to_be_found(killed, tampered):
    plain, _, _ = killed
    labels, turned = (home.answers("nightly", ("key", "label"))[-1] for home in (plain, tampered))
    assert [one["key"] for one in labels] == [one["key"] for one in turned]
    assert all(one["label"] != other["label"] for one, other in zip(labels, turned, strict=True))


def test_policies_that_train_on_the_same_night_share_one_training(killed):
    home, _, _ = killed
    made = {night["night"] for policy in POLICIES for night in home.nights(policy) if night["trained"]}
    assert len(home.models()) == len(made) == 2


def test_record_and_page_say_what_was_reached_and_what_it_cost(killed):
    home, told, _ = killed
    run = home.folder / "store" / "flights" / "runs" / "first"
    assert json.loads((run / "backtest.json").read_text())["record"] == told
    page = (run / "backtest.html").read_text()
    assert f"Take {told['recommended']}." in page
    assert all(f"<h3>{policy}</h3>" in page for policy in POLICIES)
    assert page.count("<svg") == 2
    nightly, drift = told["policies"]
    assert nightly["train_minutes"] > 0
    assert (nightly["num_alarms"], nightly["over_nightly"]) == (None, None)
    assert drift["num_alarms"] >= drift["num_false_alarms"] >= 0
    assert drift["over_nightly"]["low"] <= drift["over_nightly"]["value"] <= drift["over_nightly"]["high"]
    assert all(0.2 < value < 0.95 for value in nightly["over_time"])


def test_the_same_question_again_takes_over_what_was_kept_and_then_leaves_no_rows_behind(killed):
    home, told, _ = killed
    again = home.run("--run", "second")
    assert again == told
    assert list((home.folder / "cache" / "backtests" / "flights").iterdir()) == []
