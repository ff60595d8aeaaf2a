"""Given labels: each counts once, a person's wins over the source's, the newest within a kind, and none before it was known."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import database, exclusions, labels, prepare, privacy, targets
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.errors import DataError
from ml.exclusions import Exclusion
from ml.labels import Label
from ml.problem import Origin, Problem
from ml.records import Validated
from ml.settings import PROJECT
from ml.snapshot import frozen
from ml.tables import DAY
from ml.window import Window
from tests.integration.state_kit import make_problem, problem_of

NOON = datetime(2013, 1, 20, 12, tzinfo=UTC)
FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
JANUARY = Window(date(2013, 1, 1), date(2013, 2, 1))


def context_in(folder: Path, problem: Problem = FLIGHTS, moment: datetime = NOON) -> Context:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clock").write_text(moment.isoformat())
    read = settings_.read({"EVERGREEN_STORE": str(folder / "store"), "EVERGREEN_CLOCK_FILE": str(folder / "clock")})
    return Context(problem, replace(read, database_url=f"sqlite:///{folder}/state.db"), "run-1")


def valid(context: Context, *rows: tuple[str, str, bool | None, datetime | None]) -> None:
    """Day, key, label and when it became known."""
    days, keys, late, known_at = zip(*rows, strict=True)
    columns = {
        "flight_id": keys,
        "late_15": pa.array(late, pa.bool_()),
        "outcome_at": pa.array(known_at, pa.timestamp("us", "UTC")),
    }
    context.table("valid").replace(JANUARY, pa.table(columns | {DAY: days}))


def known(context: Context, *keys: str, moment: datetime = NOON) -> dict[str, float]:
    return {key: float(one) for key, one in labels.known_labels(context, pa.array(keys), NOON, moment).items()}


def said(key: str | None, label: Any, source: Origin = "labelling", hours: float = -1, **more: Any) -> Label:
    return Label(key, label, source, more.pop("labeller", "anna"), NOON + timedelta(hours=hours), **more)


DAY_1, HOUR = "2013-01-18", timedelta(hours=1)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ([], 0.0),
        ([said("a", True)], 1.0),
        ([said("a", True, "outcome")], 1.0),  # the program spoke after the source
        ([said("a", True, "outcome", hours=-30)], 0.0),  # before it
        ([said("a", True, hours=-30)], 1.0),  # a person wins, whenever
        ([said("a", True, hours=-3), said("a", False, hours=-2)], 0.0),
        ([said("a", True, hours=-3), said("a", False, "outcome", hours=-2)], 1.0),
        ([said("a", True, "feedback", hours=-3), said("a", False, hours=-2)], 0.0),  # people are one kind
        ([said("a", True, hours=1)], 0.0),  # nobody knew yet
        ([said("a", True, order=2), said("a", False, order=1)], 1.0),  # a replayed clock stands still
    ],
)
def test_which_label_of_a_key_counts(tmp_path, told, wanted):
    context = context_in(tmp_path)
    valid(context, (DAY_1, "a", False, NOON - 24 * HOUR))
    labels.add(context, told, by="tests")
    assert known(context, "a") == {"a": wanted}


def test_a_key_without_a_row_and_a_row_without_a_label_get_the_given_one_and_order_is_that_of_becoming_known(tmp_path):
    context = context_in(tmp_path)
    labels.add(context, [said("early", True, hours=-9)], by="tests")
    assert known(context, "early", "other") == {"early": 1.0}, "before any night"
    valid(context, (DAY_1, "a", None, None), (DAY_1, "b", True, NOON - 5 * HOUR), (DAY_1, "c", False, NOON - 3 * HOUR))
    labels.add(context, [said("a", False, hours=-4), said("c", True, hours=-7)], by="tests")
    assert list(known(context, "a", "b", "c", "early").items()) == [("early", 1.0), ("c", 1.0), ("b", 1.0), ("a", 0.0)]


def test_labels_that_the_problem_does_not_learn_from_do_not_count(tmp_path):
    context = context_in(tmp_path)
    labels.add(context, [said("a", True), said("a", False, "feedback", hours=-0.5), said("b", True, "outcome")], by="tests")
    only = FLIGHTS.model_copy(update={"feedback": FLIGHTS.feedback.model_copy(update={"learn_from": ("labelling",)})})
    assert known(replace(context, problem=only), "a", "b") == {"a": 1.0}


def test_an_answer_without_a_key_is_known_by_its_request_and_place_and_one_with_a_key_by_nothing_else(tmp_path):
    context = context_in(tmp_path)
    told = [("r1", 0, True, -3), ("r1", 0, False, -2), ("r1", 1, True, -1), ("r2", 0, True, 1)]  # the last is not known yet
    labels.add(context, [said(None, label, "feedback", hours, request_id=r, position=n) for r, n, label, hours in told], by="t")
    labels.add(context, [said("named later", True, "feedback", request_id="r3"), said("a", False, request_id="r4")], by="t")
    served = [("r1", 0, None), ("r1", 1, None), ("r2", 0, None), ("r3", 0, None), ("r4", 0, "a"), ("r1", 0, "b")]
    requests, positions, keys = (pa.array(values) for values in zip(*served, strict=True))
    names = labels.names(pa.table({"key": keys, "request_id": requests, "position": positions})).to_pylist()
    assert names[-2:] == ["a", "b"]
    assert known(context, *names) == {names[0]: 0.0, names[1]: 1.0, names[3]: 1.0, "a": 0.0}


def test_days_that_people_took_out_have_no_given_labels_either(tmp_path):
    context = context_in(tmp_path)
    valid(context, (DAY_1, "a", False, NOON - 24 * HOUR), ("2013-01-17", "b", False, NOON - 24 * HOUR))
    labels.add(context, [said("a", True), said("b", True)], by="tests")
    exclusions.write(context, {date(2013, 1, 18): Exclusion(by="anna", at=NOON, why="a broken feed")})
    assert known(context, "a", "b") == {"b": 1.0}


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from((*labels.PEOPLE, "outcome")), st.integers(0, 30)),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one[3],
)


@settings(max_examples=25)
@given(events=EVENTS, seed=st.integers(0, 1000), cut=st.integers(0, 8))
def test_labels_that_come_late_twice_and_in_any_order_count_once(tmp_path_factory, events, seed, cut):
    """Against the plain rule: of a key the person's newest, else the newest."""
    context = context_in(tmp_path_factory.mktemp("labels"))
    told = [Label(key, label, source, "anna", NOON - hours * HOUR, order=-hours) for key, label, source, hours in events]
    mixed = [*told, *told[:cut]]
    random.Random(seed).shuffle(mixed)
    labels.add(context, mixed[:cut], by="tests")
    labels.add(context, mixed, by="tests")
    held = labels.read(context)
    assert held.num_rows == len(told) == len(set(held["_id"].to_pylist()))
    wanted = {}
    for key, label, *_ in sorted(events, key=lambda one: (one[2] in labels.PEOPLE, -one[3])):
        wanted[key] = float(label)
    assert known(context, "a", "b", "c") == wanted


def test_several_outputs_and_classes_become_numbers_as_those_of_the_source_do():
    classes, several = problem_of("multiclass", classes=("x", "y")), problem_of("multilabel", label=("late", "lost"))
    assert targets.targets_of(["y", "x"], classes).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    told = [targets.checked(["lost"], several), targets.checked({"late": 1, "lost": 0}, several)]
    assert targets.targets_of(told, several).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    numbers = problem_of("vector_regression", label=("late", "lost"))
    assert targets.targets_of([targets.checked({"late": 1, "lost": 2.5}, numbers)], numbers).tolist() == [[1.0, 2.5]]


@pytest.mark.parametrize(
    ("task", "about", "value"),
    [
        ("binary", {}, "yes"), ("binary", {}, 2), ("binary", {}, None), ("binary", {}, [True]),
        pytest.param("binary", {}, 10**5000, id="digits"),
        ("multiclass", {"classes": ("x", "y")}, "z"), ("multiclass", {"classes": ("x", "y")}, 0),
        ("multilabel", {"label": ("late", "lost")}, {"late": True}), ("multilabel", {"label": ("late", "lost")}, ["z"]),
        ("regression", {}, float("nan")), ("regression", {}, True),
        pytest.param("regression", {}, 10**400, id="large"), ("regression", {}, "3"),
        ("vector_regression", {"label": ("late", "lost")}, {"late": 1, "lost": None}),
    ],
)  # fmt: skip
def test_what_is_no_label_is_refused_and_told(task, about, value):
    with pytest.raises(DataError, match="is no label of late"):
        targets.checked(value, problem_of(task, **about) if task != "binary" else make_problem("late"))


def test_labels_of_erased_people_are_not_written(tmp_path):
    context = context_in(tmp_path)
    token = privacy.token("gone", privacy.salt_of(context.store))
    context.store.write_json(f"{privacy.FORGOTTEN}/{token}.json", {})
    assert labels.add(context, [said("gone", True), said("here", True)], by="tests") == 1
    assert labels.read(context)["_key"].to_pylist() == ["here"]


FEW = {"minimum_rows": 5, "train_days": 20, "validation_days": 4, "test_days": 7}


@pytest.fixture
def night(tmp_path):
    """Three weeks of validated flights; those of the last two days have no label yet."""
    features = {name: FLIGHTS.features[name] for name in ("distance", "sched_dep")}
    small = FLIGHTS.model_copy(update={"split": FLIGHTS.split.model_copy(update=FEW), "features": features})
    context = context_in(tmp_path, small, datetime(2013, 1, 22, 3, tzinfo=UTC))
    database.migrate(context.settings.database_url)
    pick = np.random.default_rng(7)
    days = [f"2013-01-{1 + number // 10:02}" for number in range(210)]
    known_at = [datetime.fromisoformat(f"{day}T20:00:00+00:00") for day in days]
    late = [bool(one) if day < "2013-01-20" else None for one, day in zip(pick.random(210) < 0.4, days, strict=True)]
    columns: dict[str, Any] = {"distance": pick.random(210) * 1000, "sched_dep": pa.array(known_at, pa.timestamp("us", "UTC"))}
    about = {"flight_id": [f"f{number}" for number in range(210)], "late_15": pa.array(late, pa.bool_()), DAY: days}
    times = [moment if one is not None else None for moment, one in zip(known_at, late, strict=True)]
    context.table("valid").replace(
        JANUARY, pa.table(columns | about | {"outcome_at": pa.array(times, pa.timestamp("us", "UTC"))})
    )
    context.write(
        Validated(
            start=date(2013, 1, 1), end=date(2013, 1, 22), version=context.table("valid").version,
            num_ingested=210, num_valid=210, num_quarantined=0, rules=(),
        )
    )  # fmt: skip
    return context


def test_prepare_takes_given_labels_in_with_their_source(night):
    before = prepare.run(night)
    assert (before.num_given, before.labels_version, before.num_unlabelled) == ({}, None, 20)
    plain = frozen(night)
    right = dict(zip(plain["_key"].to_pylist(), plain["_label"].to_pylist(), strict=True))
    at = datetime(2013, 1, 21, 12, tzinfo=UTC)
    told = [
        Label("f150", not right["f150"], "labelling", "anna", at),
        Label("f195", True, "feedback", "an app", at),  # the source has none yet
        Label("f151", not right["f151"], "outcome", "a feed", at),
        Label("f152", not right["f152"], "outcome", "a feed", datetime(2013, 1, 2, tzinfo=UTC)),  # the source spoke later
        Label("f153", not right["f153"], "labelling", "anna", datetime(2013, 1, 23, tzinfo=UTC)),  # known tomorrow
        Label("nobody", True, "labelling", "anna", at),
    ]
    labels.add(night, told, by="tests")
    after = prepare.run(night)
    assert after.num_given == {"labelling": 1, "feedback": 1, "outcome": 1}
    assert (after.labels_version, after.num_unlabelled) == (night.table("labels").version, 19)
    rows = frozen(night)
    now = dict(zip(rows["_key"].to_pylist(), rows["_label"].to_pylist(), strict=True))
    whose = dict(zip(rows["_key"].to_pylist(), rows[labels.SOURCE].to_pylist(), strict=True))
    changed = {key for key in now if now[key] != right.get(key)}
    assert changed == {"f150", "f151", "f195"}
    assert {key: whose[key] for key in (*changed, "f152")} == {
        "f150": "labelling", "f151": "outcome", "f195": "feedback", "f152": "source",
    }  # fmt: skip


def test_prepare_is_done_once_per_labels_that_count(night):
    labels.add(night, [Label("f150", True, "labelling", "anna", datetime(2013, 1, 21, tzinfo=UTC))], by="tests")
    first = prepare.run(night)
    written = night.file("rows.parquet").stat().st_mtime_ns
    labels.add(night, [Label("x", True, "labelling", "anna", datetime(2013, 1, 25, tzinfo=UTC))], by="tests")  # not known yet
    assert prepare.run(night) == first
    assert night.file("rows.parquet").stat().st_mtime_ns == written
    labels.add(night, [Label("f150", False, "labelling", "ben", datetime(2013, 1, 21, 2, tzinfo=UTC))], by="tests")
    prepare.run(night)
    rows = frozen(night)
    assert dict(zip(rows["_key"].to_pylist(), rows["_label"].to_pylist(), strict=True))["f150"] is False
