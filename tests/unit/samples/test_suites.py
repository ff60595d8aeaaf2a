"""The problem files and suites that come with the project fit the real rows, and notice broken ones."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem, source
from ml.samples import SAMPLES, bureau, complaints
from ml.settings import PROJECT
from ml.tables import DAY
from ml.validate import suite


def batch(name, history):
    """Rows as the ingest stage leaves them: the declared columns and the day."""
    about = problem.load(name, PROJECT / "ml" / "problems")
    kinds = source.columns(about)
    rows = pa.table({column: history[column].cast(source.ARROW[kind]) for column, kind in kinds.items()})
    local = pc.local_timestamp(rows[about.source.event_time].cast(pa.timestamp("s", about.source.timezone)))
    return rows.append_column(DAY, pc.strftime(local, "%Y-%m-%d"))


def broken(name, rows):
    """Rules that do not hold, and positions of the rows that would be quarantined."""
    outcomes = suite.judge(rows, suite.load(PROJECT / "expectations" / f"{name}.raw.json"))
    failed = [outcome for outcome in outcomes if not outcome.result.holds]
    return failed, sorted({row for outcome in failed if outcome.result.severity == "critical" for row in outcome.rows})


def change(rows, column, value):
    return rows.set_column(rows.column_names.index(column), column, value(rows[column]))


@pytest.fixture(scope="module")
def flights():
    rows = batch("flights", SAMPLES["flights"].read(None))
    return lambda start, end: rows.filter(pc.and_(pc.greater_equal(rows[DAY], start), pc.less(rows[DAY], end)))


@pytest.mark.parametrize("name", ["flights", "complaints"])
def test_problem_files_name_the_columns_of_their_samples(name):
    about, sample = problem.load(name, PROJECT / "ml" / "problems"), SAMPLES[name]
    found = (sample.key, sample.event_time, sample.label_time, sample.available_at, sample.name)
    fields = about.source
    assert found == (fields.key, fields.event_time, fields.label_time, fields.available_at, fields.table)
    assert fields.label in sample.outcomes
    assert not set(about.features) & set(sample.outcomes)


def test_outcomes_of_flights_are_named_as_leaks():
    about = problem.load("flights", PROJECT / "ml" / "problems")
    known_later = set(SAMPLES["flights"].outcomes) - {about.source.label, about.source.label_time}
    assert known_later <= set(about.leakage)


def test_only_truly_odd_flights_are_quarantined(flights):
    """A report of 1,048 miles an hour, and a hop of 17 miles between two New York airports."""
    year = flights("2013-01-01", "2014-01-01")
    failed, rows = broken("flights", year)
    odd = year.take(rows)
    assert {outcome.result.kind for outcome in failed} == {"row"}
    assert len(rows) == 33
    assert sorted(set(odd["wind_speed"].to_pylist()))[-1] == 1048.36058
    assert odd.filter(pc.less(odd["distance"], 50))["flight_id"].to_pylist() == ["2013-07-27 US1632 EWR"]


@pytest.mark.parametrize("day", ["2013-01-01", "2013-02-09", "2013-11-28"], ids=["first", "after a blizzard", "quietest"])
def test_single_days_pass(flights, day):
    failed, _ = broken("flights", flights(day, day + "~"))
    assert failed == []


def test_the_day_without_weather_is_a_warning(flights):
    failed, rows = broken("flights", flights("2013-12-31", "2014-01-01"))
    assert [(outcome.result.severity, outcome.result.kind) for outcome in failed] == [("warning", "table")]
    assert rows == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("distance", pc.negate),
        ("wind_speed", lambda column: pc.multiply(column, 100.0)),
        ("humid", lambda column: pc.multiply(column, 10.0)),
        ("sched_minutes", lambda column: pc.multiply(column, 60.0)),
        ("carrier", lambda column: pa.nulls(len(column), pa.string())),
        ("carrier", pc.utf8_lower),
        ("origin", lambda column: pa.array(["BOS"] * len(column))),
        ("sched_dep", lambda column: pa.nulls(len(column), column.type)),
        ("available_at", lambda column: pc.add(column, pa.scalar(10_800_000_000, pa.duration("us")))),
    ],
    ids=["sign", "unit", "scale", "seconds", "lost join", "lower case", "other table", "no time", "known too late"],
)
def test_a_corrupt_column_sends_nearly_every_row_to_quarantine(flights, column, value):
    rows = change(flights("2013-06-01", "2013-06-02"), column, value)
    assert len(broken("flights", rows)[1]) > 0.9 * rows.num_rows


@pytest.mark.parametrize(
    "cut",
    [
        lambda rows: rows.slice(0, 0),
        lambda rows: rows.filter(pc.not_equal(rows["origin"], "LGA")),
        lambda rows: rows.filter(pc.equal(rows["carrier"], "UA")),
        lambda rows: change(rows, "distance", lambda column: pc.multiply(column, 1.609)),
    ],
    ids=["no rows", "one airport lost", "one airline only", "kilometres"],
)
def test_a_corrupt_batch_breaks_a_critical_table_rule(flights, cut):
    failed, _ = broken("flights", cut(flights("2013-06-01", "2013-06-02")))
    assert any(outcome.result.kind == "table" and outcome.result.severity == "critical" for outcome in failed)


@pytest.fixture
def answers(tmp_path):
    header = [*bureau.NEEDED.values(), *bureau.OPTIONAL.values()]
    lines = [
        f"{number},2016-02-01,Mortgage,Issue {number % 7},ACME,Web,Closed with explanation,,No,2016-02-02,NY,110XX,N/A,Yes"
        for number in range(100)
    ]
    (tmp_path / "complaints.csv").write_text("\n".join([",".join(header), *lines]))
    return batch("complaints", complaints.read(tmp_path / "complaints.csv"))


def test_sound_complaints_pass(answers):
    assert broken("complaints", answers) == ([], [])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("issue", lambda column: pa.nulls(len(column), pa.string())),
        ("state", lambda column: pa.array(["New York"] * len(column))),
        ("disputed_at", lambda column: pc.subtract(column, pa.scalar(86_400_000_000 * 70, pa.duration("us")))),
        ("complaint_id", lambda column: pa.array(["1"] * len(column))),
    ],
    ids=["no issue", "names for codes", "label before the answer", "one key for all"],
)
def test_corrupt_complaints_go_to_quarantine(answers, column, value):
    assert len(broken("complaints", change(answers, column, value))[1]) == answers.num_rows


def test_recoded_responses_break_a_table_rule(answers):
    failed, _ = broken("complaints", change(answers, "company_response", lambda column: pa.array(["closed"] * len(column))))
    assert ("table", "critical") in {(outcome.result.kind, outcome.result.severity) for outcome in failed}
