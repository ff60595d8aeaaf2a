"""Real flights of 2013 through the whole monitor: what moved columns do, one bad airport, a feed that differs from the table."""

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ml import metrics, monitor, problem, requests
from ml.context import Context
from ml.database import connect, migrate
from ml.evaluate.compare import compare
from ml.evaluate.effects import effects_of
from ml.evaluate.models import CANDIDATE, Judged
from ml.ledger import Champion, Ledger
from ml.monitor import evidence
from ml.records import DriftFinding, Monitored
from ml.samples import flights
from ml.settings import DEFAULTS, Settings
from ml.tables import ARROW_TYPES, DAY
from ml.train.export import json_value
from ml.window import Window

Floats = npt.NDArray[np.float64]
FLIGHTS = problem.load("flights", Path(problem.__file__).parent.parent / "problems")
LEARNED, TESTED, SERVED, UNTIL = (date(2013, 2, 25), date(2013, 3, 18), date(2013, 3, 25), date(2013, 4, 8))
NOW = datetime(2013, 4, 8, 9, 30, tzinfo=UTC)  # half past five in New York
CATEGORIES, NUMBERS = ("carrier", "origin", "dest"), ("sched_minutes", "distance", "humid", "visib", "wind_speed", "plane_seats")
Change = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Model:
    """Logistic regression on what the problem file names; as good as the network, and made in a second."""

    pipeline: Any

    @staticmethod
    def inputs(rows: pa.Table) -> Any:
        import pandas as pd

        local = rows["sched_dep"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", FLIGHTS.source.timezone))
        columns = {name: rows[name].to_pylist() for name in CATEGORIES}
        columns |= {name: rows[name].cast(pa.float64()).fill_null(float("nan")).to_numpy() for name in NUMBERS}
        return pd.DataFrame(columns | {"hour": [str(hour) for hour in pc.hour(local).to_pylist()]})

    @classmethod
    def learn(cls, rows: pa.Table, labels: Floats) -> "Model":
        from sklearn.compose import make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        texts = (OneHotEncoder(handle_unknown="ignore"), [*CATEGORIES, "hour"])
        numbers = (make_pipeline(SimpleImputer(), StandardScaler()), list(NUMBERS))
        return cls(
            make_pipeline(make_column_transformer(texts, numbers), LogisticRegression(max_iter=200)).fit(cls.inputs(rows), labels)
        )

    def score(self, rows: pa.Table) -> Floats:
        return np.asarray(self.pipeline.predict_proba(self.inputs(rows))[:, 1], np.float64)


@dataclass
class Past:
    """Flights with known outcomes, a champion's run folder, and the model that made it."""

    rows: pa.Table
    model: Model
    folder: Path

    def of(self, days: Iterable[date]) -> pa.Table:
        return self.rows.filter(pc.is_in(self.rows[DAY], pa.array([str(day) for day in days])))


def between(start: date, end: date) -> list[date]:
    return [start + timedelta(days=place) for place in range((end - start).days)]


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A champion that learned from three weeks and was judged on the next."""
    found = flights.read()
    local = found["sched_dep"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", FLIGHTS.source.timezone))
    found = found.append_column(DAY, pc.strftime(local, "%Y-%m-%d"))
    inside = pc.is_in(found[DAY], pa.array([str(day) for day in between(LEARNED, UNTIL)]))
    rows = found.filter(pc.and_(inside, pc.is_valid(found["late_15"])))
    for name, feature in FLIGHTS.features.items():
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(ARROW_TYPES[feature.type]))
    one = Past(rows, None, tmp_path_factory.mktemp("past"))  # type: ignore[arg-type]
    learned, tested = one.of(between(LEARNED, TESTED)), one.of(between(TESTED, SERVED))
    one.model = Model.learn(learned, np.asarray(learned["late_15"].cast(pa.float64())))
    context = Context(FLIGHTS, _settings(one.folder, "unused"), "made")
    named = [part.append_column("_label", part["late_15"]) for part in (learned, tested)]
    parts = pa.array(["train"] * learned.num_rows + ["test"] * tested.num_rows)
    with context.store.replacing(context.name("rows.parquet")) as path:
        pq.write_table(pa.concat_tables(named).append_column("_part", parts), path, row_group_size=5000)
    scores = one.model.score(tested)
    labels = np.asarray(tested["late_15"].cast(pa.float64()))
    threshold = metrics.cheapest_threshold(labels, scores, **FLIGHTS.success.cost.model_dump())
    evaluated = compare(Judged(named[1], FLIGHTS, {CANDIDATE: scores}, None, (threshold,)))
    effects = effects_of(named[1], one.model.score, tuple(FLIGHTS.features), FLIGHTS, (threshold,))
    context.write(evaluated.model_copy(update={"effects": effects}))
    with context.store.replacing(context.name("scores.parquet")) as path:
        pq.write_table(pa.table({"_label": tested["late_15"], DAY: tested[DAY], "candidate": scores}), path)
    return one


def _settings(folder: Path, url: str) -> Settings:
    (folder / "clock").write_text(NOW.isoformat())
    values: dict[str, Any] = {**DEFAULTS, "store": str(folder / "store"), "database_url": url}
    return Settings(**values | {"problems": folder, "expectations": folder, "clock_file": folder / "clock"})


@dataclass
class World:
    """The champion in service from 25 March on."""

    past: Past
    folder: Path
    url: str

    def context(self, run_key: str = "morning") -> Context:
        return Context(FLIGHTS, _settings(self.folder, self.url), run_key)

    def serve(self, days: Iterable[date], change: Change = dict) -> None:
        """Every flight of a day is asked about at noon; `change` is what goes wrong on the way."""
        names = list(FLIGHTS.features)
        with closing(connect(self.url)) as connection:
            for day in days:
                rows = self.past.of([day])
                asked = [
                    {name: json_value(value) for name, value in change(row).items()} for row in rows.select(names).to_pylist()
                ]
                typed, absent = evidence.typed_rows(map(json.dumps, asked), FLIGHTS.features)
                assert not absent
                answers = [{"score": float(one), "decision": bool(one >= 0.5)} for one in self.past.model.score(pa.table(typed))]
                at, keys = datetime(day.year, day.month, day.day, 16, tzinfo=UTC), rows["flight_id"].to_pylist()
                requests.append(connection, [requests.Request(str(day), "flights", 1, at, keys, asked, answers)])

    def know(self, days: list[date], flip: str = "") -> None:
        """Validated rows with their outcomes; those of one airport turned round."""
        rows = self.past.of(days)
        place = rows.column_names.index("late_15")
        labels = pc.if_else(pc.equal(rows["origin"], flip), pc.invert(rows["late_15"]), rows["late_15"])
        self.context().table("valid").replace(
            Window(days[0], days[-1] + timedelta(days=1)), rows.set_column(place, "late_15", labels)
        )


@pytest.fixture
def world(past, database, tmp_path):
    url = database("live")
    migrate(url)
    shutil.copytree(past.folder, tmp_path, dirs_exist_ok=True)
    Ledger(url, now=lambda: NOW).move(
        "flights", to=Champion(1, "made", "digest"), expected=None, kind="promote", key="made", actor="test"
    )
    return World(past, tmp_path, url)


def told(record: Monitored, kind: str, subject: str) -> DriftFinding:
    return next(finding for finding in record.findings if (finding.kind, finding.subject) == (kind, subject))


def shifted(name: str, factor: float) -> Change:
    return lambda row: row | {name: None if row[name] is None else factor * row[name]}


def test_usual_days_are_judged_by_whole_days_and_slices_and_nothing_hurts(world):
    days = between(SERVED, UNTIL)
    world.serve(days)
    world.know(days)
    record = monitor.run(world.context())
    assert record.verdicts["skew"] == record.verdicts["hurting"] == record.verdicts["estimate"] == "no drift", record.reason
    assert "of 7 days" in told(record, "concept", "auc").sentence
    assert told(record, "concept", "auc in origin=JFK").drifted is False
    assert "too young to be judged" not in record.reason, "the newest day has no labels at all, all others have theirs"
    assert record.num_labelled == world.past.of(between(date(2013, 3, 31), date(2013, 4, 7))).num_rows


def test_a_column_that_matters_little_may_drift_without_a_retrain_and_one_that_matters_may_not(world):
    """Seats counted in tens; planned minutes sent as hours: both move every row."""
    day = UNTIL - timedelta(days=1)
    world.serve([day], shifted("plane_seats", 0.1))
    record = monitor.run(world.context("seats"))
    seats = told(record, "data", "plane_seats")
    assert seats.drifted and seats.importance is not None and seats.importance < 0.01
    assert record.verdicts["hurting"] == "no drift" and not record.retrain, record.reason
    assert "matters little" in told(record, "hurting", "moved columns").sentence
    with closing(connect(world.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE request_log")
    world.serve([day], shifted("sched_minutes", 1 / 60))
    record = monitor.run(world.context("minutes"))
    hurting = told(record, "hurting", "moved columns")
    assert told(record, "data", "sched_minutes").drifted and hurting.drifted and record.retrain, record.reason
    assert "sched_minutes" in hurting.sentence and "a day" in hurting.sentence
    assert told(record, "schema", "sched_minutes").drifted, "most values lie below all that were learned"


def test_one_airport_whose_outcomes_turned_is_named(world):
    days = between(SERVED, UNTIL)
    world.serve(days)
    world.know(days, flip="LGA")
    record = monitor.run(world.context())
    moved = [finding.subject for finding in record.findings if finding.drifted and " in origin" in finding.subject]
    assert moved == ["auc in origin=LGA"] and record.verdicts["concept"] == "drift"
    worst = next(finding for finding in record.findings if " in " in finding.subject)
    assert worst.subject == "auc in origin=LGA", "the worst slice comes first"


def test_a_service_that_is_asked_with_other_values_than_the_table_holds_is_skewed(world):
    days = between(SERVED, UNTIL)
    world.serve(days, lambda row: row | ({"wind_speed": 0.0} if row["origin"] == "EWR" else {}))
    world.know(days)
    record = monitor.run(world.context())
    assert [finding.subject for finding in record.findings if finding.kind == "skew" and finding.drifted] == ["wind_speed"]
    found = told(record, "skew", "wind_speed")
    rows = world.past.of(between(date(2013, 3, 31), date(2013, 4, 7)))
    calm = pc.fill_null(pc.equal(rows["wind_speed"], 0.0), False)
    expected = pc.sum(pc.and_(pc.equal(rows["origin"], "EWR"), pc.invert(calm))).as_py() / rows.num_rows
    assert found.value == pytest.approx(expected)
    assert all(f" {value}" not in found.sentence for value in ("EWR", "0.0 "))


def test_labels_that_stay_away_are_told_and_what_is_there_is_judged_by_older_answers(world):
    days = between(SERVED, UNTIL)
    world.serve(days)
    world.know(days[:-4])
    record = monitor.run(world.context())
    delay = told(record, "schema", "label delay")
    assert delay.drifted and delay.value == pytest.approx(1.0, abs=0.05), delay.sentence
    assert "answers still waiting for a label" in record.reason
    assert told(record, "concept", "auc").drifted is not None


def test_the_estimate_without_labels_is_held_against_the_truth_that_came_later(past):
    """Two weeks of days: 95 % intervals hold the day's AUC as often, and the estimate is no worse a guess than the promise."""
    from ml.monitor import estimate
    from ml.monitor.estimate import Side
    from ml.monitor.evidence import Truth

    tested = past.of(between(TESTED, SERVED))
    scores, labels = past.model.score(tested), np.asarray(tested["late_15"].cast(pa.float64()))
    truth = Truth(scores, labels, np.asarray(tested[DAY].to_pylist()), {})

    def side(values: Floats) -> Side:
        return Side(values, np.zeros((len(values), 0), np.int64))

    misses, held = [], 0
    for day in between(SERVED, UNTIL):
        rows = past.of([day])
        served = past.model.score(rows)
        found = estimate.estimate(side(served), side(scores), truth, FLIGHTS)
        later = metrics.metric("auc", np.asarray(rows["late_15"].cast(pa.float64())), served)
        assert found is not None
        held += found.quality.low <= later <= found.quality.high
        misses.append((abs(found.quality.value - later), abs(found.usual - later)))
    assert held >= 12, "of 14"
    ours, promise = np.mean(misses, axis=0)
    assert ours < promise + 0.01, f"the estimate misses by {ours:.3f}, the promise by {promise:.3f}"
