"""The whole stage on real tables: pieces, two commits, a kill between them, refusals, others who write, what is kept of a day."""

import json
import os
import signal
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ml import daily, privacy, validate
from ml.context import Context, open_run
from ml.errors import DataError, TransientError
from ml.records import Ingested, Validated
from ml.settings import PROJECT
from ml.tables import DAY, Table
from ml.validate import judge
from ml.window import Window

PROBLEM = """
[problem]
name = "p"
title = "t"
task = "binary"
owner = "o"
[source]
table = "p"
key = "key"
event_time = "at"
label = "label"
label_time = "labelled"
lookback_days = 1
[features]
size = { type = "number" }
colour = { type = "category" }
[validation]
max_quarantined_share = 0.2
"""
RULES = [
    ("expect_column_values_to_be_unique", {"column": "key"}),
    ("expect_column_values_to_be_between", {"column": "size", "min_value": 0}),
    ("expect_column_values_to_be_in_set", {"column": "colour", "value_set": ["red", "blue"]}),
    ("expect_column_mean_to_be_between", {"column": "size", "min_value": 0, "max_value": 100}),
]
FIRST = date(2024, 1, 1)
BAD = [3, 7, 23, 33, 43, 50, 63, 83, 93, 99, 103]  # of the 120 rows of a day


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "p.toml").write_text(PROBLEM)
    rules = [{"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {"why": "so"}} for kind, kwargs in RULES]
    (tmp_path / "p.raw.json").write_text(json.dumps({"name": "p", "expectations": rules}))
    for name, value in {"STORE": tmp_path / "store", "PROBLEMS": tmp_path, "EXPECTATIONS": tmp_path}.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", str(value))
    return tmp_path


def rows_of(window: Window, per_day: int = 120) -> pa.Table:
    """Every twentieth row has a negative size, every thirtieth another colour, and a key of each day is there three times."""
    days = list(window)
    number = np.arange(len(days) * per_day)
    inside = number % per_day
    at = np.array([np.datetime64(day, "us") for day in days]).repeat(per_day) + inside.astype("timedelta64[s]")
    key = [f"{days[one // per_day]}-{one % per_day if one % per_day not in (7, 50) else 99}" for one in number]
    return pa.table({
        "key": key,
        "at": pa.array(at).cast(pa.timestamp("us", "UTC")),
        "label": pa.array(inside % 5 == 0),
        "labelled": pa.array(at + np.timedelta64(1, "h")).cast(pa.timestamp("us", "UTC")),
        "size": np.where(inside % 20 == 3, -1.0, inside.astype(np.float64)),
        "colour": np.where(inside % 30 == 3, "green", np.where(inside % 2 == 0, "red", "blue")).tolist(),
        DAY: [str(day) for day in days for _ in range(per_day)],
    })  # fmt: skip


def ingested(key: str, window: Window, rows: pa.Table | None = None, **options) -> Context:
    """A run whose rows are in `raw`, as ingest leaves it."""
    context = open_run("p", key, **options)
    rows = rows_of(window) if rows is None else rows
    version = context.table("raw").replace(window, rows)
    by_day = context.table("raw").num_rows(window)
    record = Ingested(
        start=window.start, end=window.end, version=version, num_rows=rows.num_rows, num_rows_by_day=by_day, changed=True
    )
    context.write(record)
    return context


def span(first: int, days: int) -> Window:
    return Window(FIRST + timedelta(days=first), FIRST + timedelta(days=first + days))


def content(context: Context) -> dict[str, list]:
    """Every row of both tables, without the run that set it aside."""
    found = {}
    for name in ("valid", "quarantine"):
        rows = context.table(name).read(span(0, 400))
        rows = rows.drop_columns(["_run_key"]) if "_run_key" in rows.column_names else rows
        found[name] = sorted(map(str, rows.to_pylist()))
    return found


def test_rows_judged_in_many_pieces_over_many_files_end_where_they_belong(home, monkeypatch):
    monkeypatch.setattr(judge, "PIECE_ROWS", 77)
    context = ingested("night", span(0, 9))
    record = validate.run(context)
    held = {name: context.table(name).read(span(0, 9)).to_pylist() for name in ("valid", "quarantine")}
    keys = [row["key"] for name in held for row in held[name]]

    def broken(row) -> bool:
        return row["size"] < 0 or row["colour"] == "green" or keys.count(row["key"]) > 1

    assert not any(broken(row) for row in held["valid"])
    assert all(broken(row) for row in held["quarantine"])
    assert len(keys) == 9 * 120 == record.num_ingested == record.num_valid + record.num_quarantined
    both = next(row for row in held["quarantine"] if row["key"].endswith("-3"))
    assert [rule.partition("(")[0] for rule in both["_rules"]] == ["size: be_between", "colour: be_in_set"]
    assert both["_run_key"] == "night"
    assert context.table("valid").history()[0].note == {"run_key": "night", "stage": "validate"}


def test_the_page_of_a_run_has_counts_examples_and_every_rule(home):
    context = ingested("night", span(0, 3))
    validate.run(context)
    told = json.loads(context.store.read(context.name("validation.json")))
    assert told["days"]["2024-01-02"] == {"ingested": 120, "valid": 109, "quarantined": 11}
    assert (told["num_ingested"], told["num_valid"], told["num_quarantined"], told["refused"]) == (360, 327, 33, "")
    size = next(rule for rule in told["rules"] if rule["column"] == "size" and rule["kind"] == "row")
    assert (size["num_broken"], size["share"], size["examples"][0], size["expected"]) == (18, 0.05, -1.0, "to be at least 0")
    assert {rule["origin"] for rule in told["rules"]} == {"suite", "window", "history"}
    assert len(told["examples"]) == 20
    assert told["examples"][0]["_rules"]


CHILD = """
import os, signal, sys
from ml import validate
from ml.context import open_run
from ml.tables import Table

commit = Table.commit
def killed(self, *args, **kwargs):
    if self.name == "valid":
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, *args, **kwargs)

Table.commit = killed
validate.run(open_run("p", "night"))
"""


def test_killed_between_the_two_commits_the_rerun_ends_as_if_nothing_had_happened(home, monkeypatch):
    ingested("before", span(0, 2))
    validate.run(open_run("p", "before"))
    context = ingested("night", span(1, 3))
    child = subprocess.run([sys.executable, "-c", CHILD], cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert child.returncode == -signal.SIGKILL
    assert [date.fromisoformat(day) for day in context.table("quarantine").num_rows(span(0, 9))] == list(span(0, 4))
    assert [date.fromisoformat(day) for day in context.table("valid").num_rows(span(0, 9))] == list(span(0, 2))
    record, found = validate.run(context), content(context)
    assert record.num_valid + record.num_quarantined == record.num_ingested

    monkeypatch.setenv("EVERGREEN_STORE", str(home / "undisturbed"))
    ingested("before", span(0, 2))
    validate.run(open_run("p", "before"))
    quiet = ingested("night", span(1, 3))
    validate.run(quiet)
    assert content(quiet) == found


def data_files(table: Table) -> int:
    return len(list((PROJECT / table.location).rglob("*.parquet")))


def test_a_day_that_lost_most_of_its_rows_stops_the_night_and_leaves_nothing_behind(home):
    past = ingested("past", span(0, 28))
    validate.run(past)
    files = data_files(past.table("valid")), data_files(past.table("quarantine"))
    versions = past.table("valid").version, past.table("quarantine").version
    few = pa.concat_tables([rows_of(span(27, 1)), rows_of(span(28, 1), 8)])
    context = ingested("night", span(27, 2), few)
    with pytest.raises(DataError, match=r"rows of a day: \d+ rows on Mon 2024-01-29, usually 109"):
        validate.run(context)
    assert (past.table("valid").version, past.table("quarantine").version) == versions
    assert (data_files(past.table("valid")), data_files(past.table("quarantine"))) == files
    assert not context.has(Validated)
    told = json.loads(context.store.read(context.name("validation.json")))
    rule = next(one for one in told["rules"] if one["rule"] == "rows of a day")
    assert (rule["holds"], rule["severity"], rule["trailing"][0]["low"]) == (False, "critical", 109)
    assert "rows of a day" in told["refused"]


def test_an_ordinary_day_after_four_weeks_is_judged_by_history_and_let_in(home):
    validate.run(ingested("past", span(0, 28)))
    context = ingested("night", span(27, 2))
    record = validate.run(context)
    told = json.loads(context.store.read(context.name("validation.json")))["rules"]
    found = {rule["rule"]: (rule["assessable"], rule["holds"]) for rule in told if rule["origin"] == "history"}
    assert found.pop("rows that are there twice") == (True, False)  # three of 120 keys: shown, not stopped
    assert len(found) == 6
    assert set(found.values()) == {(True, True)}
    assert record.rules[-1].severity == "warning"


def test_too_many_bad_rows_are_refused_before_anything_is_written(home):
    rows = rows_of(span(0, 2))
    context = ingested("night", span(0, 2), rows.set_column(4, "size", pa.array([-1.0] * 120 + [50.0] * 120)))
    with pytest.raises(DataError, match="max_quarantined_share"):
        validate.run(context)
    assert not context.table("valid").exists
    told = json.loads(context.store.read(context.name("validation.json")))
    assert told["num_quarantined"] >= 120
    assert told["examples"][0]["size"] == -1.0


def test_somebody_who_writes_the_same_day_meanwhile_is_noticed(home, monkeypatch):
    context = ingested("night", span(0, 2))
    commit = Table.commit

    def overtaken(self, *args, **kwargs):
        version = commit(self, *args, **kwargs)
        if self.name == "valid":
            commit(self, self.stage(rows_of(span(1, 1), 5).to_batches(), rows_of(span(1, 1)).schema), span(1, 1))
        return version

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Table, "commit", overtaken)
        with pytest.raises(TransientError, match=r"2024-01-02: 5 valid \+ 11 quarantined .* but 120 were ingested"):
            validate.run(context)
    assert not context.has(Validated)
    assert validate.run(context).num_valid == 218


def test_profiles_of_days_follow_the_table(home):
    context = ingested("night", span(0, 2))
    validate.run(context)
    found = daily.profiles(context, span(0, 5))
    assert list(found) == list(span(0, 2))
    assert found[FIRST].num_rows == 109
    assert sum(found[FIRST].columns["colour"].values.values()) == 109
    written = {name: context.store.read(name) for name in context.store.names(daily.FOLDER)}
    assert daily.profiles(context, span(0, 5)) == found
    assert {name: context.store.read(name) for name in context.store.names(daily.FOLDER)} == written
    context.table("valid").replace(span(0, 1), rows_of(span(0, 1), 10))
    again = daily.profiles(context, span(0, 5))
    assert (again[FIRST].num_rows, again[FIRST + timedelta(days=1)]) == (10, found[FIRST + timedelta(days=1)])


def test_rows_can_be_asked_which_critical_rules_they_break(home):
    context = open_run("p", "any")
    broken = validate.broken_by(context, rows_of(span(0, 1)))
    assert [place for place, rules in enumerate(broken) if rules] == BAD
    assert [len(broken[place]) for place in (3, 7, 4)] == [2, 1, 0]


def test_people_who_were_erased_after_the_ingest_are_let_in_nowhere(home):
    context = ingested("night", span(0, 2))
    salt = privacy.salt_of(context.store)
    context.store.write_json(f"{privacy.FORGOTTEN}/{privacy.token('2024-01-01-5', salt)}.json", {})
    record = validate.run(context)
    assert (record.num_ingested, record.num_valid) == (239, 217)
    assert "2024-01-01-5" not in context.table("valid").read(span(0, 2))["key"].to_pylist()
