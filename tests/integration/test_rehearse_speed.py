"""Speed beside the champion's, of networks as training exports them for the service: LiteRT, without TensorFlow."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import gate, rehearse, snapshot
from ml.context import Context
from ml.gate import rehearsal
from ml.ledger import Champion
from ml.problem import Serving, Training
from ml.records import Growth, Rehearsed, Trained
from ml.store import digest
from tests.integration import state_kit
from tests.unit import exports_kit

WIDE = (2048,) * 3  # eight million products an answer; the champion has a few thousand, and Python around it
LITERT = Serving(targets=("litert",), export_tolerance=3.0)
REPETITIONS = 20


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    trainings = {"champion": Training(), "wide": Training(layers=WIDE)}
    for name, training in trainings.items():
        told = exports_kit.make(home / name, "binary", LITERT, training)
        assert [one.target for one in told if one.published] == ["savedmodel", "litert"]
    return {name: home / name for name in trainings}


@pytest.fixture
def night(folders, tmp_path, state) -> Context:
    """A night of a problem with these columns; a network of the usual size is the champion."""
    context = state_kit.make_context(tmp_path, state, "http://127.0.0.1:9")
    context = replace(context, problem=context.problem.model_copy(update={"features": exports_kit.FEATURES}))
    earlier = candidate(context, "earlier", folders["champion"])
    to = Champion(1, "earlier", earlier.record(Trained).model_digest)
    context.ledger.move(context.problem.name, to=to, expected=None, kind="promote", key="earlier", actor="test", body={})
    return context


def candidate(context: Context, run_key: str, folder: Path) -> Context:
    """A judged run that has trained this model, on test rows of its own."""
    run = state_kit.judged(context, run_key, champion=1)
    with run.store.replacing(run.name(snapshot.MODEL)) as model:
        shutil.copytree(folder, model)
    rows = exports_kit.sample(300)
    rows = rows.append_column("_key", pa.array([f"k{n}" for n in range(300)])).append_column("_part", pa.array(["test"] * 300))
    with run.store.replacing(run.name(snapshot.ROWS)) as path:
        pq.write_table(rows, path)
    run.write(run.record(Trained).model_copy(update={"model_digest": digest(run.file(snapshot.MODEL))}))
    return run


def broken(found: Rehearsed, context: Context) -> list[str]:
    """What the gate's rules about speed, memory and cold start refuse."""
    rules = (rehearsal.growth_rule(one, context.problem.gate.maximum_growth) for one in found.growth)
    return [f"{rule.rule}: {rule.sentence}" for rule in rules if not rule.holds]


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Processes that take every core they get."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def test_ten_times_slower_without_tensorflow_is_seen_and_refused(night, folders):
    slow = candidate(night, "slow", folders["wide"])
    found = rehearse.run(slow)
    assert found.champion is not None
    assert (found.candidate.core, found.champion.core, found.fresh) == ("litert", "litert", True)
    row = growth(found, "row_ms")
    assert row.times > 10 and row.at_least > night.problem.gate.maximum_growth
    verdict = gate.run(slow)
    assert verdict.decision == "reject"
    (rule,) = (rule for rule in verdict.rules if rule.rule == "time for one row")
    assert not rule.holds and rule.value == row.at_least and rule.limit == 2.0
    assert f": {row.times:.2g} times as much" in rule.sentence and rule.sentence.endswith("for sure), 2 times allowed")
    assert rule.sentence in verdict.sentence


def growth(found: Rehearsed, measure: str) -> Growth:
    return next(one for one in found.growth if one.measure == measure)


@pytest.mark.slow  # forty processes for as many cold starts, on a machine that is kept busy
@pytest.mark.timeout(3600)
def test_an_equal_model_is_never_refused_however_busy_the_machine(night, folders):
    equal, refused = candidate(night, "equal", folders["champion"]), []
    with busy(3):
        for _ in range(REPETITIONS):
            refused += broken(rehearse.run(equal), night)
            equal.store.delete(equal.name("rehearse.json"))
    assert refused == []
