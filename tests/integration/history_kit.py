"""Histories of a problem as its runs leave them behind: tables with versions, records, snapshots, ledger and request log."""

import itertools
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

from ml import problem, requests
from ml.context import Context
from ml.ledger import Champion, Ledger, Move
from ml.records import Ingested, Part, Prepared, Registered, Trained, Validated
from ml.requests import Request
from ml.settings import read
from ml.snapshot import PARTS
from ml.store import digest
from ml.tables import DAY
from ml.window import Window
from tests.integration.serving_kit import PROBLEM, make_model

FIRST = date(2013, 1, 1)
START = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = 20  # of a day
NUMBERS = itertools.count(1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def span(first: int, end: int) -> Window:
    return Window(day(first), day(end))


def make_context(home: Path, database_url: str, **settings: str) -> Context:
    """A problem of its own with an empty store; MLflow is a file beside it."""
    name = f"h{next(NUMBERS)}"
    (home / "problems").mkdir(parents=True, exist_ok=True)
    (home / "problems" / f"{name}.toml").write_text(PROBLEM.format(name=name))
    (home / "clock").write_text((START + timedelta(days=20)).isoformat())
    values: dict[str, object] = {
        "STORE": home / "store",
        "DATABASE_URL": database_url,
        "MLFLOW_URL": f"sqlite:///{home}/mlflow.db",
    }
    values |= {"PROBLEMS": home / "problems", "CLOCK_FILE": home / "clock", **settings}
    found = read({f"EVERGREEN_{key}": str(value) for key, value in values.items()})
    return Context(problem.load(name, found.problems), found, "by-hand")


class History:
    """What runs did, step by step. Every batch of a day is told from all others by its value of `carrier`."""

    def __init__(self, context: Context, seed: int = 0) -> None:
        self.context, self.random = context, np.random.default_rng(seed)
        self.ledger = Ledger(context.settings.database_url, now=context.settings.now)
        self.source: dict[int, pa.Table] = {}
        self.batches, self.moves = itertools.count(1), itertools.count(1)
        self.versions: dict[int, str] = {}

    def run(self, run_key: str) -> Context:
        return replace(self.context, run_key=run_key)

    def deliver(self, number: int) -> str:
        """A new batch of a day stands in the source; returns what marks its rows."""
        mark, size = f"batch {next(self.batches)}", ROWS
        labels = self.random.random(size) < 0.4
        self.source[number] = pa.table(
            {
                "id": [f"{number}-{row}" for row in range(size)],
                "carrier": [mark] * size,
                "distance": self.random.gamma(4, 250, size),
                "late": labels,
                "arrived": pa.array([START + timedelta(days=number, hours=20)] * size, pa.timestamp("us", "UTC")),
                DAY: [str(day(number))] * size,
            }
        )
        return mark

    def ingest(self, run_key: str, window: Window) -> Ingested:
        """The source's rows of the window into `raw`."""
        context, table = self.run(run_key), self.context.table("raw")
        days = [(one - FIRST).days for one in window]
        rows = pa.concat_tables([self.source[number] for number in days if number in self.source])
        version = table.replace(window, rows, note={"run_key": run_key, "stage": "ingest"})
        counts = {str(day(number)): ROWS for number in days}
        about = {"start": window.start, "end": window.end, "changed": True}
        return context.write(Ingested(**about, version=version, num_rows=rows.num_rows, num_rows_by_day=counts))

    def validate(self, run_key: str) -> Validated:
        """Every tenth row is bad."""
        context = self.run(run_key)
        ingested, note = context.record(Ingested), {"run_key": run_key, "stage": "validate"}
        rows = context.table("raw").read(ingested.window, version=ingested.version)
        bad = pa.array([int(key.split("-")[1]) % 10 == 0 for key in rows["id"].to_pylist()])
        good = rows.filter(pa.compute.invert(bad))
        aside = context.table("quarantine").replace(ingested.window, rows.filter(bad), note=note)
        version = context.table("valid").replace(ingested.window, good, note=note)
        counts = {"num_ingested": rows.num_rows, "num_valid": good.num_rows, "num_quarantined": rows.num_rows - good.num_rows}
        about = {"start": ingested.start, "end": ingested.end, "raw_version": ingested.version, "quarantine_version": aside}
        return context.write(Validated(**about, **counts, version=version, rules=()))

    def prepare(self, run_key: str, memory: int = 6) -> Prepared:
        """The last days before the end of the run's window, in three parts."""
        context = self.run(run_key)
        validated = context.record(Validated)
        period = Window(max(FIRST, validated.end - timedelta(days=memory)), validated.end)
        rows = context.table("valid").read(period, version=validated.version).sort_by(DAY)
        part = np.array(PARTS, object)[np.minimum(np.arange(rows.num_rows) * 3 // max(rows.num_rows, 1), 2)]
        frozen = pa.table(
            {"carrier": rows["carrier"], "distance": rows["distance"], "_key": rows["id"], DAY: rows[DAY], "_label": rows["late"]}
            | {"_part": pa.array(part, pa.string())}
        )
        with context.store.replacing(context.name("rows.parquet")) as path:
            pq.write_table(frozen, path)
        parts = {}
        for name in PARTS:
            days = frozen.filter(pa.compute.equal(frozen["_part"], name))[DAY].to_pylist()
            parts[name] = Part(first=min(days), last=max(days), num_rows=len(days), positive_rate=0.4)
        found = digest(context.file("rows.parquet"))
        return context.write(Prepared(valid_version=validated.version, num_unlabelled=0, rows_digest=found, **parts))

    def train(self, run_key: str, *, model: bool = False) -> int:
        """A registered version; with `model` a real one that the service can load."""
        context, version = self.run(run_key), len(self.versions) + 1
        made = f"digest of {run_key}"
        if model:
            store, name = Path(context.settings.store), context.problem.name
            made = make_model(store, name, version, run_key=run_key).model_digest
        sizes = {"num_parameters": 1, "epochs": 1, "best_epoch": 1, "validation_loss": 0.5}
        context.write(Trained(model_digest=made, export_difference=0.0, seconds=1.0, **sizes))
        made_by = {"code_version": "git:abc", "problem_digest": "cd" * 32}
        context.write(Registered(version=version, mlflow_run_id="r", url="u", made_by=made_by))
        self.versions[version] = run_key
        return version

    def night(self, run_key: str, window: Window, *, model: bool = False) -> int:
        """A whole run up to its version."""
        self.ingest(run_key, window)
        self.validate(run_key)
        self.prepare(run_key)
        return self.train(run_key, model=model)

    def champion(self, version: int) -> Champion:
        run_key = self.versions[version]
        return Champion(version, run_key, self.run(run_key).record(Trained).model_digest)

    def move(self, version: int, kind: Move = "promote") -> None:
        """The champion moves and is deployed."""
        name, number = self.context.problem.name, next(self.moves)
        now = self.ledger.champion(name)
        to, expected = self.champion(version), now.version if now else None
        self.ledger.move(name, to=to, expected=expected, kind=kind, key=f"move {number}", actor="tests")
        self.ledger.append(name, "deployed", key=f"{number}", actor="deploy", version=version, run_key=to.run_key)

    def serve(self, version: int, moment: datetime, size: int = 2) -> str:
        """A request that a version answered."""
        request_id = f"r{int(self.random.integers(10**12))}"
        rows = [{"carrier": "UA", "distance": float(100 * number)} for number in range(size)]
        asked = Request(
            request_id,
            self.context.problem.name,
            version,
            moment,
            ["k"] * size,
            rows,
            [{"score": 0.04, "decision": False}] * size,
        )
        with closing(psycopg2.connect(self.context.settings.database_url)) as connection:
            requests.append(connection, [asked])
        return request_id
