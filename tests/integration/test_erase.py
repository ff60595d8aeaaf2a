"""Erasure on real tables, runs, log and ledger: nothing is left by brute force, nobody else is touched, nobody comes back."""

import functools
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from ml import erase, ingest, prepare, privacy, validate
from ml.erase import files
from ml.errors import ConfigError, DataError
from ml.ledger import Ledger
from ml.records import Ingested, Prepared
from ml.redaction import scrub
from ml.snapshot import PARTS
from ml.store import Store
from ml.tables import Table
from ml.window import Window
from tests.integration.erase_kit import A_DATE, NIGHT, World, in_mlflow, leaks, make
from tests.integration.state_kit import Fuse, Killed

STEPS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
ODD = [
    "1234567", "123456", "12345671", "Zoë O'Brien", '客户-1 "quoted"', "a/b", " spaced ", "7", A_DATE, "<b>&amp;</b>",
    "C:\\temp-1",
]  # fmt: skip
CUSTOMERS = [*ODD, "rows-1", "later-1", "both-1", "both-2", "stays-put", *(f"killed-{step}" for step in STEPS)]
EVER = Window.parse("2016-01-01/2017-01-01")


@pytest.fixture(scope="module")
def worlds(request, database, mlflow_url, tmp_path_factory):
    """Call it with disk or s3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "LEARNED_WITHIN_S", 0)

        @functools.cache
        def world(where: str) -> World:
            home = tmp_path_factory.mktemp(where)
            store = str(home / "store")
            if where == "s3":
                server = request.getfixturevalue("s3")
                for name, value in server.environment.items():
                    patch.setenv(name, value)
                store = f"s3://{server.bucket()}/store"
            urls = database("loans"), database("state"), mlflow_url
            return make(World(f"loans_{where}", home, *urls, store, 'subject = "customer"', CUSTOMERS))

        yield world


@pytest.fixture(scope="module")
def world(worlds):
    return worlds("disk")


def run(world, customer, **options):
    return erase.run(world.context("erase-1"), customer, actor="tests", **options)


def rows_of_others(world, customer) -> Counter:
    context = world.context("look")
    found = Counter()
    for name in ("raw", "valid", "quarantine"):
        rows = context.table(name).read(EVER, columns=["loan_id", "customer"])
        found |= Counter({(name, *row.values()): 1 for row in rows.to_pylist() if row["customer"] != customer})
    return found


def unexplained(world, customer, done) -> dict:
    """What brute force finds beyond the vocabulary of models that were trained on them, which the proof must name then."""
    found = leaks(world, customer)
    learned = [name for name in found if name.endswith(("/encoding.json", "/model/encoder.json"))]
    places = {place.name: place for place in done.places}
    told = places["models and their encodings"]
    assert bool(told.after) == bool(learned) and all(name.split("/runs/")[-1] in told.remains for name in learned)
    assert all(place.after == 0 for place in done.places if place is not told and not place.name.startswith("old files"))
    return {name: values for name, values in found.items() if name not in learned}


# a second world takes a minute, and that S3 keeps and forgets as a disk does is what the tests of store and tables show
ELSEWHERE = [*(("disk", name) for name in ODD[6:]), ("s3", ODD[1]), ("s3", ODD[3])]
MORE_PEOPLE = [pytest.param(*one, marks=pytest.mark.slow) for one in ELSEWHERE]


@pytest.mark.parametrize(("where", "customer"), [*(("disk", name) for name in ODD[:6]), *MORE_PEOPLE])
def test_nothing_of_a_person_is_left_and_nobody_else_is_touched(worlds, where, customer):
    world = worlds(where)
    assert leaks(world, customer)  # the brute force can find
    replayed = world.context("look").settings.backtests / world.context("look").problem.name / "0"
    replayed.mkdir(parents=True)
    (replayed / "history.json").write_text(f"{customer} stands in what a backtest that was killed left behind")
    others, logged, told = rows_of_others(world, customer), world.logged(), world.told()
    done = run(world, customer, why="ticket 17", now=True)
    assert unexplained(world, customer, done) == {}
    # the run's own page of that name has values of others: they must not follow an erasure into MLflow
    assert in_mlflow(world)["mlflow:validation.html"] == b"<html>no values"
    assert rows_of_others(world, customer) == others
    gone = [row for row in logged if row not in world.logged()]
    assert {key for key, _ in gone} == {world.loans[customer][0], None} and len(gone) == 2
    assert told - world.told() == {f"{customer} {world.loans[customer][0]}", f"{customer} another loan"}
    assert done.found > len(world.loans[customer])
    assert {run.run_key: run.champion for run in done.runs}.items() >= {"night-1": True, "night-2": False}.items()
    assert done.runs[0].versions == (1,) and sum(done.runs[0].rows.values()) > 0


def test_two_at_once_and_frozen_rows_arrays_and_scores_stay_row_by_row(world):
    with ThreadPoolExecutor(3) as threads:
        asked = {name: threads.submit(run, world, name, now=True) for name in ("rows-1", "both-1", "both-2")}
    assert all(unexplained(world, name, one.result()) == {} for name, one in asked.items())
    context = world.context("night-1")
    rows = pq.read_table(context.file("rows.parquet"))
    parts = Counter(part for part in rows["_part"].to_pylist() if part in PARTS)  # reference rows are not encoded
    with np.load(context.file("encoded.npz")) as arrays:
        assert {name: len(arrays[f"{name}.label"]) for name in parts} == parts
        for part in parts:
            labels = rows.filter(np.asarray(rows["_part"].to_pylist()) == part)["_label"].to_pylist()
            assert arrays[f"{part}.label"].tolist() == labels
    test = rows.filter(np.asarray(rows["_part"].to_pylist()) == "test")
    assert pq.read_table(context.file("scores.parquet"))["_key"].to_pylist() == test["_key"].to_pylist()
    with np.load(context.file("baselines.npz")) as simple:
        assert {len(simple[name]) for name in ("prior", "linear", "boosting")} == {test.num_rows}
    assert context.record(Prepared)  # the record stays; what was taken out stands beside it
    assert any(sum(one.values()) for one in context.store.read_json(context.name("erased.json")).values())


def test_nobody_comes_back_with_another_night_nor_with_the_whole_history(world):
    customer = CUSTOMERS[0]
    run(world, customer)
    world.sql("UPDATE loans SET amount = amount + 1 WHERE amount > 0")
    context = world.night("night-again", (ingest, validate, prepare))
    assert context.record(Ingested).num_erased >= len(world.loans[customer])
    assert rows_of_others(world, "")[("raw", world.loans[customer][0], customer)] == 0
    assert run(world, customer).unexplained == ()
    assert customer in {row[0] for row in world.sql("SELECT DISTINCT customer FROM loans")}


@pytest.mark.parametrize("where", ["disk", pytest.param("s3", marks=pytest.mark.slow)])
def test_old_files_stay_for_the_retention_and_then_go_even_where_a_model_used_them(worlds, where):
    world = worlds(where)
    customer = "later-1"
    done = run(world, customer)
    old = [place for place in done.places if place.after]
    assert old and all(place.name.startswith("old files") and "until" in place.remains for place in old)
    assert done.num_old_files and done.due and done.due > NIGHT + timedelta(days=30)
    context = world.context("vacuum")
    assert erase.purge(context) == []
    again = run(world, customer)
    assert again.num_old_files == done.num_old_files and again.erased_before
    world.at(done.due)
    gone = erase.purge(context)
    assert len(gone) == done.num_old_files
    assert unexplained(world, customer, again) == {}
    world.at(NIGHT + timedelta(days=1))
    assert run(world, customer).found == 0
    with pytest.raises(DataError, match="can no longer be read"):
        context.table("raw").read(EVER, version=0)
    there = set(context.store.names("tables/raw"))
    days = [str(day) for day, names in context.table("raw").files(0).items() if {f"tables/raw/{one}" for one in names} <= there]
    assert context.table("raw").read(Window.parse(days[0]), version=0).num_rows  # days without them still can


def test_a_dry_run_changes_nothing_and_tells_where_they_are(world):
    before = leaks(world, "stays-put")
    done = run(world, "stays-put", dry_run=True, now=True)
    assert leaks(world, "stays-put") == before
    assert done.dry_run and done.found and [place.before for place in done.places] == [place.after for place in done.places]


def test_whoever_is_not_known_is_told_so(world):
    with pytest.raises(DataError, match="Nobody of that name"):
        run(world, "stays")
    with pytest.raises(ConfigError, match="not in the reason"):
        run(world, "stays-put", why="asked by stays-put")
    with pytest.raises(ConfigError):
        run(world, "")


def test_the_ledger_remembers_that_and_not_who(world):
    run(world, CUSTOMERS[0])
    entries = [entry for entry in Ledger(world.database_url).entries(world.name) if entry.kind == "erase"]
    token = privacy.token(CUSTOMERS[0], privacy.salt_of(world.context("x").store))
    assert [entry.key for entry in entries].count(token) == 1
    assert Ledger(world.database_url).verify() == []
    assert all(name not in json.dumps(entry.body, ensure_ascii=False) for entry in entries for name in CUSTOMERS if len(name) > 3)


def test_a_hashed_key_is_found_by_its_name_in_the_source_and_texts_are_redacted_before_they_are_stored(
    worlds, tmp_path, database
):
    privacy_rules = 'redact = { loan_id = "hash", story = "text" }'
    mlflow_url = worlds("disk").mlflow_url
    urls = database("loans"), database("state"), mlflow_url
    world = make(World("loans_hashed", tmp_path, *urls, str(tmp_path / "store"), privacy_rules, ["somebody"]))
    context = world.context("look")
    loan, story = world.loans["somebody"][0], scrub(world.stories["somebody"][0])
    name = privacy.stored(context.problem, loan, privacy.salt_of(context.store))
    raw = context.table("raw").read(EVER).to_pylist()
    assert all(row["loan_id"].startswith("h:") and "[e-mail]" in row["story"] for row in raw)
    assert world.context("night-1").record(Ingested).num_redacted == {"loan_id": len(raw), "story": len(raw)}
    assert {row["story"] for row in raw if row["loan_id"] == name} == {story}
    world.loans["one"], world.stories["one"] = [loan, name], [story]
    assert leaks(world, "one")
    done = run(world, loan, now=True)
    assert unexplained(world, "one", done) == {}
    assert context.table("raw").read(EVER).num_rows == len(raw) - 1
    again = world.night("night-3", (ingest, validate, prepare))
    assert again.record(Ingested).num_erased == 1
    assert run(world, name).found == 0  # by the name in the tables, too


OFTENER = [*(("disk", step) for step in STEPS[::2]), ("s3", 4), ("s3", 12)]
MORE_KILLS = [pytest.param(*one, marks=pytest.mark.slow) for one in OFTENER]


@pytest.mark.parametrize(("where", "step"), [*(("disk", step) for step in STEPS[1::2]), *MORE_KILLS])
def test_killed_anywhere_and_run_again_it_ends_the_same(worlds, monkeypatch, where, step):
    world = worlds(where)
    customer, fuse = f"killed-{step}", Fuse(step)
    with monkeypatch.context() as patch:
        for owner, name in ((Store, "write"), (Store, "delete"), (Table, "rewrite"), (files, "purge")):
            patch.setattr(owner, name, fuse.after(getattr(owner, name)))
        with pytest.raises(Killed):
            run(world, customer, now=True)
    done = run(world, customer, now=True)
    assert unexplained(world, customer, done) == {}
    assert {one.run_key for one in done.runs} >= {"night-1", "night-2"}
