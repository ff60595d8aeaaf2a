"""Real nights, stage by stage, up to the evaluation; nothing is promoted, so no night knows of another."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from ml import database, evaluate, ingest, metrics, prepare, samples, snapshot, targets, train, tune, validate
from ml.context import Context, open_run
from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import free_port
from ml.metrics import Draws
from ml.records import Evaluated, Ingested, Interval, Prepared, Validated
from ml.settings import PROJECT
from ml.tables import DAY

HOUR = "T05:00:00+00:00"


class World:
    """A database, a store and a clock of its own."""

    def __init__(self, home: Path, server: Postgres) -> None:
        self.home, self.server = home, server
        self.problems = home / "problems"
        self.problems.mkdir()

    def problem(self, name: str, text: str, sample: str, without: str = "") -> None:
        """Write a problem file and its suite, which has no rules for a column that is left out."""
        (self.problems / f"{name}.toml").write_text(text)
        suite = json.loads((PROJECT / "expectations" / f"{sample}.raw.json").read_text())
        rules = [rule for rule in suite["expectations"] if not without or rule["kwargs"].get("column") != without]
        (self.problems / f"{name}.raw.json").write_text(json.dumps({"name": f"{name}.raw", "expectations": rules}))

    def load(self, name: str, sample: str, data: Path | None) -> None:
        """A production database with a sample's history; the settings lead there."""
        production, state = (self.server.create_database(f"{name}_{what}") for what in ("production", "state"))
        database.migrate(state)
        samples.load(sample, production, data)
        places = {"STORE": self.home / "store", "CACHE": self.home / "cache", "CLOCK_FILE": self.home / "clock"}
        urls = {"SOURCE_URL": production, "DATABASE_URL": state, "MLFLOW_URL": f"sqlite:///{self.home}/mlflow.db"}
        for key, value in {**places, **urls, "PROBLEMS": self.problems}.items():
            os.environ[f"EVERGREEN_{key}"] = str(value)

    def night(self, name: str, sample: str, night: str, days: int) -> Context:
        """One night up to its evaluation."""
        (self.home / "clock").write_text(night + HOUR)
        samples.advance(sample, os.environ["EVERGREEN_SOURCE_URL"], datetime.fromisoformat(night + HOUR))
        end = date.fromisoformat(night)
        context = open_run(name, night, window=f"{end - timedelta(days=days)}/{end}", reason="manual")
        for stage in (ingest, validate, prepare, train, evaluate):
            stage.run(context)
        return context

    def tuned(self, plain: Context, *, search: bool) -> Context:
        """The same rows once more, with settings that are searched now or were searched before."""
        context = open_run(plain.problem.name, f"{plain.run_key}-tuned", window=plain.window, reason="manual")
        context.write(plain.record(Ingested))
        context.write(plain.record(Validated))
        prepare.run(context)
        if search:
            tune.run(context)
        train.run(context)
        evaluate.run(context)
        return context


@contextmanager
def world(home: Path) -> Iterator[World]:
    """From the database's start to its end."""
    server = Postgres(home, free_port(0), dict.fromkeys(("postgres", OWNER, READER), "results"))
    server.start()
    try:
        yield World(home, server)
    finally:
        server.stop()


def quality(context: Context) -> dict[str, Interval]:
    """The success metric of the candidate and of every simple model."""
    evaluated, metric = context.record(Evaluated), context.problem.success.metric
    simple = {name: scores.metrics[metric] for name, scores in evaluated.baselines.items()}
    return simple | {"network": evaluated.candidate.metrics[metric]}


def gain(ours: Context, theirs: Context, other: str = "candidate") -> Interval:
    """How much better the candidate of one run is than a model of another one on the same test rows, paired."""
    rows = pq.read_table(ours.file(snapshot.SCORES))
    beside = pq.read_table(theirs.file(snapshot.SCORES))
    assert rows["_key"].equals(beside["_key"])  # the same rows in the same order
    labels = targets.targets(rows["_label"], ours.problem)
    draws = Draws.over(rows[DAY].to_pylist(), rows.num_rows)
    scores = [table[name].to_numpy().astype(float) for table, name in ((rows, "candidate"), (beside, other))]
    return metrics.paired_gain(ours.problem.success.metric, labels, *scores, confidence=0.95, draws=draws)


def judged_on(context: Context) -> tuple[str, int, int]:
    """The test days, their rows, and how many rows taught."""
    prepared = context.record(Prepared)
    return f"{prepared.test.first} to {prepared.test.last}", prepared.test.num_rows, prepared.train.num_rows
