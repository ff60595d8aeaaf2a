"""Two real nights of flights, and ways to plant a fault into a copy of the second one before it is judged."""

import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml import database, evaluate, gate, ingest, prepare, samples, snapshot, train, validate
from ml.context import Context, open_run
from ml.ledger import Champion, Ledger
from ml.records import Evaluated, Rule, Trained, Verdict
from ml.settings import PROJECT
from ml.store import digest

FIRST = datetime.fromisoformat("2013-02-02T03:00:00-05:00")  # weeks without a blizzard
LEAK = 'dep_delay = "known only when the plane has left"\n'
CLOCK = "clock"


@dataclass
class World:
    """A store, a ledger and flights as they were known at the clock; `home` holds problem files of its own."""

    home: Path
    source: str
    state: str

    def at(self, night: int) -> None:
        """It is that night, and production knows what was known then."""
        samples.advance("flights", self.source, FIRST + timedelta(days=night))
        self.clock(night)

    def clock(self, night: int) -> None:
        """It is that night, and nothing has come."""
        (self.home / CLOCK).write_text((FIRST + timedelta(days=night)).isoformat())

    def policy(self, *changes: tuple[str, str]) -> None:
        """Flights with another problem file from now on; without changes the project's own."""
        text = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (self.home / "flights.toml").write_text(text)

    def run(self, key: str, *stages: Any) -> Context:
        context = open_run("flights", key)
        for stage in stages:
            stage.run(context)
        return context

    def promote(self, context: Context, version: int, expected: int | None) -> None:
        to = Champion(version, context.run_key, context.record(Trained).model_digest)
        Ledger(self.state).move("flights", to=to, expected=expected, kind="promote", key=context.run_key, actor="test")

    def copy(self, key: str, of: str = "second") -> Context:
        """Another run with all that one holds, but for its judgement."""
        context = open_run("flights", of)
        whole, copy = (Path(context.store.location(f"runs/{name}")) for name in (of, key))
        shutil.copytree(whole, copy, ignore=shutil.ignore_patterns("evaluate.json", "gate.json", "scores.parquet", "plots"))
        return open_run("flights", key)

    def judge(self, context: Context) -> tuple[Evaluated, Verdict]:
        evaluate.run(context)
        gate.run(context)
        return context.record(Evaluated), context.record(Verdict)


def build(home: Path, database_of: Any, patch: pytest.MonkeyPatch) -> World:
    """The champion's night and the one after it, trained and not yet judged."""
    world = World(home, database_of("production"), database_of("state"))
    for name in [name for name in os.environ if name.startswith("EVERGREEN_") and name != "EVERGREEN_DATA"]:
        patch.delenv(name)
    places = {"STORE": home / "store", "CACHE": home / "cache", "CLOCK_FILE": home / CLOCK, "PROBLEMS": home}
    for name, value in {**places, "SOURCE_URL": world.source, "DATABASE_URL": world.state}.items():
        patch.setenv(f"EVERGREEN_{name}", str(value))
    database.migrate(world.state)
    samples.load("flights", world.source)
    world.policy()
    world.at(0)
    first = world.run("first", ingest, validate, prepare, train, evaluate, gate)
    world.promote(first, 1, None)
    world.at(1)
    world.run("second", ingest, validate, prepare, train)
    return world


def broken(verdict: Verdict) -> dict[str, Rule]:
    """The rules that do not hold."""
    return {rule.rule: rule for rule in verdict.rules if not rule.holds}


def rewrap(context: Context, change: Any, *, honest_example: bool) -> None:
    """Replace the exported model by one that changes what goes in or comes out.

    Args:
        change: (call, raw columns) to scores; `call` is the model as it was trained.
        honest_example: let the example tell what the changed model answers.
    """
    import tensorflow as tf

    from ml.scoring import Scorer

    folder = context.file(snapshot.MODEL)
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    call = loaded.signatures["serving_default"]
    module = tf.Module()
    module.inner = loaded

    @tf.function(autograph=False)
    def serve(**raw: Any) -> dict[str, Any]:
        return {"score": change(lambda **columns: call(**columns)["score"], raw)}

    specs = {name: tf.TensorSpec([None], spec.dtype, name) for name, spec in call.structured_input_signature[1].items()}
    tf.saved_model.save(module, str(folder / "changed"), signatures={"serving_default": serve.get_concrete_function(**specs)})
    shutil.rmtree(folder / "saved_model")
    (folder / "changed").rename(folder / "saved_model")
    (folder / "exports.json").unlink(missing_ok=True)  # what else there is answers as before: the changed one has to run
    if honest_example:
        example = json.loads((folder / "example.json").read_text())
        scorer = Scorer.load(folder)
        answered = scorer.score(scorer.table(example["rows"])).tolist()
        (folder / "example.json").write_text(json.dumps(example | {"scores": answered}))
    record(context, model_digest=digest(folder))


def record(context: Context, **changes: Any) -> None:
    """Change what the train stage wrote down."""
    context.write(context.record(Trained).model_copy(update=changes))
