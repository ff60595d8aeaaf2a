"""Versions of the tables on disk and on a real S3 server: history, differences, checkout, and what vacuum leaves alone."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ml import past, versions
from ml.embedded.processes import free_port
from ml.errors import ConfigError, DataError, RefusedError, TransientError
from ml.tables import DAY
from tests.integration.history_kit import FIRST, ROWS, History, day, make_context, span


@pytest.fixture
def history(tmp_path, state, mlflow_file):
    return History(make_context(tmp_path, state, MLFLOW_URL=mlflow_file))


@pytest.fixture
def nights(history):
    """Two nights: the second reads two days again, one of them changed, and a new one."""
    for number in range(3):
        history.deliver(number)
    history.night("night-1", span(0, 3))
    old = history.source[2]
    moved = pa.array([2 * value if row < 5 else value for row, value in enumerate(old["distance"].to_pylist())])
    later = pa.array([f"2-{row}" if row else "2-99" for row in range(ROWS)])
    history.source[2] = old.set_column(2, "distance", moved).set_column(0, "id", later)
    history.deliver(3)
    history.night("night-2", span(1, 4))
    return history


def everything(table, version, names=None):
    window = versions.every_day(table, version)
    rows = table.read(window, version=version)
    return rows.select(sorted(rows.column_names)).sort_by([(DAY, "ascending"), ("id", "ascending")])


def command(context, monkeypatch, *arguments):
    from ml.cli.app import app

    about = context.settings
    values = {
        "STORE": about.store,
        "DATABASE_URL": about.database_url,
        "MLFLOW_URL": about.mlflow_url,
        "PROBLEMS": about.problems,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", str(value))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner().invoke(app, ["data", *arguments, "-p", context.problem.name])


def test_the_log_says_who_wrote_which_days_and_which_models_used_it(nights, monkeypatch):
    newest, first = versions.log(nights.context, "raw")
    assert (first.version, first.stage, first.run_key, first.models) == (0, "ingest", "night-1", (1,))
    assert (first.written, first.replaced, first.days) == (60, 0, (day(0), day(1), day(2)))
    assert (newest.run_key, newest.written, newest.replaced, newest.models) == ("night-2", 40, 20, (2,))
    assert newest.days == (day(2), day(3))  # day 1 was read again and had not changed
    assert newest.words == "40 rows in place of 20 (+20)"
    told = command(nights.context, monkeypatch, "log", "--table", "valid", "--limit", "1").output
    assert "validate night-2" in told
    assert "night-1" not in told
    assert "version 2" in told


def test_a_diff_of_two_nights_counts_rows_by_key_and_names_what_moved(nights, monkeypatch, tmp_path):
    page = tmp_path / "diff.html"
    done = command(nights.context, monkeypatch, "diff", "night-1", "night-2", "--html", str(page))
    assert done.exit_code == 0, done.output
    assert "raw@0 (night-1) to raw@1 (night-2)" in done.output
    assert "Days: 2 of 4 differ, 2013-01-03 to 2013-01-04." in done.output
    assert "21 added, 1 removed, 4 changed, 15 as before" in done.output
    assert "distance changed in 4 rows" in done.output
    text = page.read_text()
    assert "<svg" in text
    assert re.findall(r"""<script|<link|@import|(?:src|href)=["'](?!#)|url\((?!#)""", text) == []  # nothing is loaded
    content = json.loads(command(nights.context, monkeypatch, "diff", "0", "raw@1", "--json").output)
    assert {name: content["rows"][name] for name in ("added", "removed", "changed", "same")} == {
        "added": 21, "removed": 1, "changed": 4, "same": 15,
    }  # fmt: skip
    assert content["rows"]["columns"]["distance"]["num_rows"] == 4
    again = json.loads(command(nights.context, monkeypatch, "diff", "1", "1", "--json").output)
    assert (again["same"], again["days"], again["moved"]) == (True, {}, [])


def test_new_days_alone_are_held_against_the_days_before_them(history):
    for number in range(5):
        history.deliver(number)
    history.ingest("one", span(0, 4))
    history.ingest("two", span(4, 5))
    context = history.context
    found = versions.compare(context, versions.resolve(context, "one"), versions.resolve(context, "two"))
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (ROWS, 0, 0)
    assert found.compared == "the new days against 2013-01-01 to 2013-01-04, the days before them"
    carrier = next(one for one in found.moved if one.column == "carrier")
    assert carrier.moved
    assert carrier.new_values == {"batch 5": ROWS}


def test_days_with_the_same_files_are_not_read(nights):
    context = nights.context
    for path in Path(context.store.location("tables/raw")).glob(f"{DAY}={day(0)}/*.parquet"):
        path.unlink()
    found = versions.compare(context, versions.resolve(context, "0"), versions.resolve(context, "1"))
    assert list(found.days) == [day(2), day(3)]


def test_a_diff_of_a_window_looks_at_nothing_else(nights):
    context = nights.context
    refs = [versions.resolve(context, name) for name in ("0", "1")]
    assert versions.compare(context, *refs, window=span(0, 2)).same
    assert versions.compare(context, *refs, window=span(2, 3)).rows.changed == 4


def test_a_column_that_came_is_named_and_the_rest_compared(nights):
    context, table = nights.context, nights.context.table("raw")
    rows = table.read(span(3, 4))
    table.replace(span(3, 4), rows.append_column("note", pa.array(["x"] * rows.num_rows)))
    found = versions.compare(context, versions.resolve(context, "1"), versions.resolve(context, "newest"))
    assert (found.columns.added, found.columns.removed, found.rows.same) == (("note",), (), ROWS)
    assert "Columns new: note." in versions.sentences(found)
    assert not found.same


@pytest.mark.parametrize(
    ("said", "table", "message"),
    [
        ("7", None, "raw of .* has no version 7; the newest is 1"),
        ("night-3", None, "no version and no run .* such as night-"),
        ("stray@3", None, "'stray@3' names no table"),
        ("raw@1", "valid", "'raw@1' is no version of valid"),
        ("begun", "valid", "Run begun recorded no version of `valid`: it did not come that far"),
    ],
)
def test_a_name_that_means_no_version_is_explained(nights, said, table, message):
    nights.ingest("begun", span(0, 2))
    with pytest.raises((DataError, ConfigError), match=message):
        versions.resolve(nights.context, said, table)


def test_show_tells_columns_days_and_values_of_a_version(nights, monkeypatch):
    overview = command(nights.context, monkeypatch, "show").output
    assert [line.split()[0] for line in overview.splitlines()[1:]] == ["raw", "valid", "quarantine"]
    told = command(nights.context, monkeypatch, "show", "--table", "raw", "--version", "0").output
    assert "raw@0: 60 rows on 3 days, 2013-01-01 to 2013-01-03" in told
    assert "batch 1 33%, batch 2 33%, batch 3 33%" in told


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_checkout_writes_exactly_the_rows_of_a_version(nights, monkeypatch, tmp_path, ending):
    out, context = tmp_path / f"rows.{ending}", nights.context
    assert "60 rows of raw@0" in command(context, monkeypatch, "checkout", "raw@0", "--out", str(out)).output
    expected = everything(context.table("raw"), 0)
    if ending == "parquet":
        found = pq.read_table(out)
    else:
        types = {field.name: field.type for field in expected.schema}
        found = pa.csv.read_csv(out, convert_options=pa.csv.ConvertOptions(column_types=types))
    assert found.select(expected.column_names).sort_by([(DAY, "ascending"), ("id", "ascending")]).equals(expected)
    refused = command(context, monkeypatch, "checkout", "night-2", "--out", str(out))
    assert isinstance(refused.exception, RefusedError)
    assert command(context, monkeypatch, "checkout", "night-2", "--out", str(out), "--force").exit_code == 0


def test_quarantined_rules_are_text_in_csv(history, tmp_path):
    rules = pa.array([["one", "two"], []], pa.list_(pa.string()))
    rows = pa.table({"id": ["a", "b"], DAY: [str(FIRST)] * 2, "_rules": rules})
    history.context.table("quarantine").replace(span(0, 1), rows)
    versions.checkout(history.context, versions.resolve(history.context, "quarantine@0"), tmp_path / "rows.csv")
    assert '"one; two"' in (tmp_path / "rows.csv").read_text()


def test_a_checkout_that_fails_half_way_leaves_nothing(nights, tmp_path):
    context, folder = nights.context, tmp_path / "out"
    folder.mkdir()
    for path in Path(context.store.location("tables/raw")).glob(f"{DAY}={day(1)}/*.parquet"):
        path.unlink()
    with pytest.raises(DataError, match="can no longer be read"):
        versions.checkout(context, versions.resolve(context, "0"), folder / "rows.parquet")
    assert list(folder.iterdir()) == []


def many_versions(history, commits, models):
    """Nights that each replace the first of three days; some made registered models. Returns what is pinned."""
    for number in range(3):
        history.deliver(number)
    for number in range(commits):
        history.deliver(0)
        run_key = f"night-{number}"
        history.ingest(run_key, span(0, 3) if number == 0 else span(0, 1))
        if number in models:
            history.validate(run_key)
            history.prepare(run_key)
            history.train(run_key)
    return {name: sorted(kept) for name, kept in past.pinned(history.context).items()}


# deltalake writes a checkpoint every 100 commits, and pinned versions lie on both sides of it
@pytest.mark.parametrize(("where", "commits", "models"), [("disk", 130, [4, 60, 110]), ("s3", 9, [1, 3, 6])])
def test_vacuum_leaves_the_newest_and_every_pinned_version_equal_and_the_others_say_they_are_gone(
    where, commits, models, request, tmp_path, state, mlflow_file
):
    store = {"STORE": f"s3://{request.getfixturevalue('bucket')}/store"} if where == "s3" else {}
    history = History(make_context(tmp_path, state, MLFLOW_URL=mlflow_file, **store))
    short = history.context.problem.model_copy(
        update={"retention": history.context.problem.retention.model_copy(update={"versions_days": 0})}
    )
    history.context = context = replace(history.context, problem=short)
    raw, valid = context.table("raw"), context.table("valid")
    pins = many_versions(history, commits, models)
    assert pins == {"raw": models, "valid": [0, 1, 2], "quarantine": [], "labels": []}
    tables = {"raw": raw, "valid": valid}
    kept = {(name, version): everything(tables[name], version) for name in tables for version in pins[name]}
    newest, at = everything(raw, None), raw.version

    would = versions.vacuum(context, dry_run=True, grace_hours=0)
    assert would.sentence.startswith(f"would remove {commits - 4} of raw")
    assert everything(raw, 2).num_rows == 3 * ROWS
    done = versions.vacuum(context, grace_hours=0)
    assert done.files == would.files
    assert len(done.files["raw"]) == commits - 4

    assert raw.version == at == commits - 1  # a quiet night stays quiet
    assert everything(raw, None).equals(newest)
    for (name, version), rows in kept.items():
        assert everything(tables[name], version).equals(rows), (name, version)
    for version in {0, *(one + step for one in models for step in (-1, 1)), commits - 2}:
        with pytest.raises(DataError, match=rf"{version} of table .*raw can no longer be read: vacuum removed its files"):
            everything(raw, version)
    assert versions.vacuum(context, grace_hours=0).sentence == "removed nothing"
    for number in range(3):  # and the table goes on
        history.deliver(0)
        history.ingest(f"later-{number}", span(0, 1))
    for (name, version), rows in kept.items():
        assert everything(tables[name], version).equals(rows), (name, version)


def test_young_versions_stay(nights):
    nights.context.table("raw").replace(span(0, 1), nights.source[1].set_column(5, DAY, pa.array([str(FIRST)] * ROWS)))
    assert versions.vacuum(nights.context).sentence == "removed nothing"
    assert everything(nights.context.table("raw"), 0).num_rows == 60


def test_a_model_that_only_the_registry_knows_is_pinned_too(nights, mlflow_file):
    from ml.registry import Registry

    client, name = Registry(mlflow_file)._client, nights.context.problem.name
    nights.deliver(5)
    for stage in (lambda key: nights.ingest(key, span(5, 6)), nights.validate, nights.prepare):
        stage("killed")  # after it had registered its model, before it could write so
    assert past.pinned(nights.context)["raw"] == {0, 1}
    client.create_registered_model(name)
    client.create_model_version(name, source="/nowhere", tags={"run_key": "killed"})
    assert past.pinned(nights.context)["raw"] == {0, 1, 2}


def test_without_mlflow_nothing_is_removed(nights):
    context = nights.context
    away = replace(context, settings=replace(context.settings, mlflow_url=f"http://127.0.0.1:{free_port(0)}"))
    before = {path for path in Path(context.store.location("tables")).rglob("*.parquet")}
    with pytest.raises(TransientError):
        versions.vacuum(away, grace_hours=0)
    assert {path for path in Path(context.store.location("tables")).rglob("*.parquet")} == before
