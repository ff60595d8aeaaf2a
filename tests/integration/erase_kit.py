"""A small world of borrowers with everything an erasure must reach: two nights, a champion, a request log, pages."""

import io
import json
import random
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq

from ml import database, evaluate, ingest, labels, prepare, requests, train, validate
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.ledger import Champion, Ledger
from ml.records import Trained
from ml.registry import Data, Registry, Run
from ml.requests import feedback
from ml.snapshot import REPORT

NIGHT = datetime(2016, 3, 1, 3, tzinfo=UTC)
DAYS, ROWS_A_DAY = 20, 60
MIRRORED = ("validate.json", "validation.json", "data.html", "data.json")
A_DATE = "2016-02-01"  # a name that pages are full of
CITIES = ["Lyon", "Oslo", "Graz"]
PROBLEM = """
[problem]
name = "{name}"
title = "Late loans"
task = "binary"
owner = "tests"

[source]
table = "loans"
key = "loan_id"
event_time = "asked_at"
label = "late"
label_time = "late_at"
history_days = 40
lookback_days = 40

[features]
city = {{ type = "category" }}
amount = {{ type = "number" }}
story = {{ type = "text", tokens = 10 }}

[privacy]
{privacy}

[contract]
stop = false

[split]
validation_days = 4
test_days = 7
minimum_rows = 20

[training]
layers = [4]
epochs = 1

[validation]
max_quarantined_share = 0.5
allow_empty_days = true
"""
SUITE = {
    "name": "loans.raw",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0}, "severity": "critical",
            "meta": {"why": "nobody borrows less than nothing"},
        },
        {
            "type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "story", "regex": "^Borrower .*1$"},
            "severity": "warning", "meta": {"why": "so that stories stand among the examples"},
        },
    ],
}  # fmt: skip


@dataclass
class World:
    """One problem with its source, store and state. `loans` and `stories` are what each customer has in the source."""

    name: str
    home: Path
    source_url: str
    database_url: str
    mlflow_url: str
    store: str
    privacy: str
    customers: list[str]
    loans: dict[str, list[str]] = field(default_factory=dict)
    stories: dict[str, list[str]] = field(default_factory=dict)
    mlflow_run: str = ""

    def context(self, run_key: str, **options: Any) -> Context:
        values = {
            "STORE": self.store, "SOURCE_URL": self.source_url, "DATABASE_URL": self.database_url, "CACHE": self.home / "cache",
            "CLOCK_FILE": self.home / "clock", "PROBLEMS": self.home / "problems", "MLFLOW_URL": self.mlflow_url,
        }  # fmt: skip
        read = settings_.read({f"EVERGREEN_{name}": str(value) for name, value in values.items()})
        return Context(problems.load(self.name, self.home / "problems"), read, run_key, **options)

    def at(self, moment: datetime) -> None:
        (self.home / "clock").write_text(moment.isoformat())

    def night(self, run_key: str, stages: Any) -> Context:
        context = self.context(run_key)
        for stage in stages:
            stage.run(context)
        return context

    def sql(self, statement: str, values: Any = None) -> list[Any]:
        with closing(psycopg2.connect(self.source_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def logged(self) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT key, row FROM request_log ORDER BY served_at, position")
            return cursor.fetchall()

    def tell(self, customer: str) -> None:
        """Feedback about one of a customer's loans by its key, and about somebody else's by the customer."""
        about = {"request_id": None, "position": 0, "verdict": "wrong", "label": None, "source": "feedback"}
        told = [
            feedback.Said(
                self.name,
                f"{customer} {key}",
                key,
                labeller=by,
                received_at=NIGHT,
                ordinal=place,
                **about,  # type: ignore[arg-type]
            )
            for place, (key, by) in enumerate([(self.loans[customer][0], "anna"), ("another loan", customer)])
        ]
        with closing(database.connect(self.database_url)) as connection:
            feedback.append_lines(connection, b"".join(map(feedback.line, told)))

    def told(self) -> set[str]:
        """Ids of the feedback that is there."""
        with closing(psycopg2.connect(self.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM feedback")
            return {name for (name,) in cursor.fetchall()}

    def ask(self, keys: list[str | None], stories: list[str]) -> None:
        rows = [{"city": "Oslo", "amount": 1.0, "story": story} for story in stories]
        size = len(keys)
        asked = requests.Request(
            f"r{random.random()}", self.name, 1, NIGHT, keys, rows, [{"score": 0.5, "decision": True}] * size
        )
        with closing(database.connect(self.database_url)) as connection:
            requests.append(connection, [asked])


def make(world: World) -> World:
    """Two nights; the second finds every row changed, so all days have old files; the first one's model is champion."""
    (world.home / "problems").mkdir(parents=True)
    (world.home / "problems" / f"{world.name}.toml").write_text(PROBLEM.format(name=world.name, privacy=world.privacy))
    (world.home / "problems" / f"{world.name}.raw.json").write_text(json.dumps(SUITE))
    world.at(NIGHT)
    database.migrate(world.database_url)
    _fill(world)
    first = world.night("night-1", (ingest, validate, prepare, train, evaluate))
    trained = first.record(Trained)
    ledger = Ledger(world.database_url)
    ledger.move(
        world.name, to=Champion(1, "night-1", trained.model_digest), expected=None, kind="promote", key="k", actor="tests"
    )
    world.at(NIGHT + timedelta(days=1))
    world.sql("UPDATE loans SET amount = amount + 1 WHERE amount > 0")
    world.night("night-2", (ingest, validate, prepare))
    said = [labels.Label(loan, True, "labelling", "anna", NIGHT) for one in world.customers for loan in world.loans[one]]
    labels.add(first, said, by="tests")
    for customer in world.customers:
        world.tell(customer)
        pages(first, world, customer)
        world.ask([world.loans[customer][0], None, None], [world.stories[customer][0], world.stories[customer][1], "short"])
    first.store.write(first.name(REPORT), b"<html>no values")
    names = [first.file(name) for name in (REPORT, *MIRRORED)]
    run = Run("night-1", NIGHT, 1.0, Data("loans", "0", "table"), files=names)
    world.mlflow_run = Registry(world.mlflow_url).log_run(world.name, run)
    return world


def in_mlflow(world: World) -> dict[str, bytes]:
    """The files of the first night's run in MLflow."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        MlflowClient(world.mlflow_url).download_artifacts(world.mlflow_run, "", folder)
        return {f"mlflow:{path.name}": path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def pages(context: Context, world: World, customer: str) -> None:
    """What other tools may have written about somebody: a page and a record with examples."""
    from html import escape

    told = f"<td>{escape(customer)}</td><td>{escape(world.stories[customer][0])}</td><p>loan {world.loans[customer][0]}.</p>"
    for name in map(context.name, ("data.html", "validation.html")):
        before = context.store.read(name).decode() if context.store.exists(name) else "<html>"
        context.store.write(name, (before + told).encode())
    rows = [{"loan_id": loan, "city": "Oslo"} for loan in world.loans[customer]]
    name = context.name("data.json")
    held = context.store.read_json(name) if context.store.exists(name) else {"examples": [], "values": {}}
    held["examples"] += rows
    held["values"] |= {loan: 1 for loan in world.loans[customer]}
    context.store.write_json(name, held)


def _fill(world: World) -> None:
    world.sql(
        "CREATE TABLE loans (loan_id text, customer text, asked_at timestamptz, late boolean, late_at timestamptz,"
        " city text, amount double precision, story text)"
    )
    pick, rows = random.Random(5), []
    others = [f"other-{number}" for number in range(200)]
    for number in range(DAYS * ROWS_A_DAY):
        day = date(2016, 2, 10) + timedelta(days=number // ROWS_A_DAY)
        known = number % (len(CITIES) * 25) < len(world.customers)  # each of them has loans in the whole time
        customer = world.customers[number % (len(CITIES) * 25)] if known else pick.choice(others)
        loan = (
            f"{1_000_000 + 37 * number}" if number % 2 else f"{(1_000_000 + 37 * (number + 1))}7"
        )  # one is the beginning of another
        story = f"Borrower number {number} of {customer} wrote a long letter to the bank, b{number}@example.org, signed {number}"
        asked_at = datetime(day.year, day.month, day.day, pick.randint(0, 23), tzinfo=UTC)
        amount = -5.0 if number % 11 == 3 else float(pick.randint(100, 9000))
        rows.append(
            (loan, customer, asked_at, pick.random() < 0.4, asked_at + timedelta(hours=2), pick.choice(CITIES), amount, story)
        )
        world.loans.setdefault(customer, []).append(loan)
        world.stories.setdefault(customer, []).append(story)
    with closing(psycopg2.connect(world.source_url)) as connection, connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO loans VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows)


def contents(world: World) -> dict[str, bytes]:
    """Every byte of the store and of its local copies, by name."""
    if not world.store.startswith("s3://"):
        found = {}
    else:
        from ml.store import Store

        store = Store(world.store, world.home / "elsewhere")
        found = {name: store.read(name) for name in store.names()}
    for root in (world.home / "store", world.home / "cache"):
        found |= {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return found | in_mlflow(world)


def leaks(world: World, customer: str) -> dict[str, set[str]]:
    """By brute force: every value of every Parquet file, every byte of all others; what is found of a customer, per file."""
    needles = {
        *world.loans[customer],
        *world.stories[customer],
        *({customer} if len(customer) > 3 and customer != A_DATE else set()),
    }
    exact = needles | {customer}
    found: dict[str, set[str]] = {}
    for name, content in contents(world).items():
        if name.endswith(".parquet"):
            with pq.ParquetFile(io.BytesIO(content)) as file:
                rows = file.read()
            held = exact & {str(value) for column in rows.columns for value in column.to_pylist()}
        else:
            spelt = {one: [one.encode(), json.dumps(one)[1:-1].encode()] for one in needles}
            held = {one for one, forms in spelt.items() if any(_whole(form, content) for form in forms)}
        if held:
            found[name] = held
    return found


def _whole(needle: bytes, content: bytes) -> bool:
    """Whether the needle stands there, and not as a part of a longer number or word."""
    import re

    return re.search(rb"(?<![0-9A-Za-z])" + re.escape(needle) + rb"(?![0-9A-Za-z])", content) is not None
