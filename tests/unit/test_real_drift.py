"""Five years of consumer complaints: what is known to have changed is seen within days, and the months around are quiet."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import problem as problems
from ml.drift import Days, Ints
from ml.monitor import shifts
from ml.monitor.answers import Labelled
from ml.monitor.evidence import LEARNED_ROWS, Evidence, Reference
from ml.monitor.sample import choose
from ml.problem import Problem
from ml.records import DriftFinding

pytestmark = pytest.mark.real_data
NAMES = {
    "issue": "issue",
    "company_response_to_consumer": "company_response",
    "consumer_consent_provided": "consumer_consent",
    "submitted_via": "submitted_via",
}
Watched = dict[date, list[DriftFinding]]  # findings that say drift, by day
Watch = Callable[..., Watched]


@pytest.fixture(scope="module")
def complaints() -> Problem:
    """The committed problem with the columns that the long history has; a week of complaints is looked at every day."""
    whole = problems.load("complaints", Path(problems.__file__).parents[1] / "problems")
    return whole.model_copy(update={"features": {name: whole.features[name] for name in NAMES.values()}})


@pytest.fixture(scope="module")
def history(real_data) -> tuple[dict[str, pa.Array], Days]:
    """Columns and days of 2011-12 to 2017-06, in order of the days."""
    parts = []
    for name in ("cfpb_disputes_2011_2017", "cfpb_unlabelled_2017_2022"):
        rows = pq.read_table(real_data / f"{name}.parquet", columns=["date_received", *NAMES])
        parts.append(rows.cast(pa.schema([("date_received", pa.date32()), *((name, pa.string()) for name in NAMES)])))
    rows = pa.concat_tables(parts)
    days = rows["date_received"].to_numpy().astype("datetime64[D]")
    order = np.argsort(days, kind="stable")
    order = order[days[order] < np.datetime64("2017-07-01")]
    return {ours: rows[theirs].combine_chunks().take(pa.array(order)) for theirs, ours in NAMES.items()}, days[order]


@pytest.fixture(scope="module")
def watch(history, complaints) -> Watch:
    """Judge every day of a span as the monitor would with a champion that was trained on the year before a day."""
    columns, days = history

    def of(rows: Ints) -> dict[str, pa.ChunkedArray]:
        return {name: pa.chunked_array([column.take(pa.array(rows))]) for name, column in columns.items()}

    def watched(trained: str, first: str, last: str) -> Watched:
        start, end = np.searchsorted(days, [np.datetime64(trained) - 365, np.datetime64(trained)])
        learned = np.arange(start, end)[choose(end - start, LEARNED_ROWS)]
        reference, found = Reference(of(learned), np.zeros(0), {}, days=days[learned]), {}
        for day in np.arange(np.datetime64(first), np.datetime64(last) + 1):
            begin, stop = np.searchsorted(days, [day - complaints.drift.window_days + 1, day + 1])
            rows = np.arange(begin, stop)
            nothing = Labelled(np.zeros(0), np.zeros(0), 0, 0, 0)
            held = Evidence(len(rows), 0, of(rows), np.zeros(0), {}, reference, nothing, day=day.astype(object))
            found[day.astype(object)] = [one for one in shifts.of_columns(held, complaints) if one.drifted]
        return found

    return watched


@pytest.mark.parametrize(
    ("trained", "onset", "column", "words"),
    [
        ("2012-04-15", "2012-05-07", "company_response", ""),
        ("2013-07-01", "2013-07-10", "issue", "not seen in training (\"Cont'd attempts collect debt"),
        ("2016-12-15", "2017-01-18", "issue", ""),
        ("2017-03-20", "2017-04-24", "issue", "not seen in training ('Incorrect information on your"),
    ],
    ids=["retired response", "debt collection", "student loans", "new taxonomy"],
)
def test_what_is_known_to_have_changed_is_seen_within_days_and_named(watch, trained, onset, column, words):
    began = date.fromisoformat(onset)
    found = watch(trained, trained, str(began + timedelta(days=7)))
    alarms = [day for day, drifted in found.items() if drifted]
    assert alarms, f"nothing was seen within a week of {onset}"
    assert began <= alarms[0] <= began + timedelta(days=3)
    (first,) = found[alarms[0]]
    assert first.subject == column and words in first.sentence


@pytest.mark.parametrize(
    ("trained", "first", "last"),
    [
        ("2012-04-01", "2012-04-01", "2012-05-06"),
        ("2013-05-01", "2013-05-05", "2013-07-09"),
        pytest.param("2014-03-01", "2014-03-08", "2014-05-31", marks=pytest.mark.slow),
        pytest.param("2016-04-01", "2016-04-08", "2016-06-30", marks=pytest.mark.slow),
        ("2016-10-01", "2016-10-05", "2017-01-17"),
        ("2017-02-20", "2017-02-25", "2017-04-23"),
    ],
)
def test_the_quiet_months_around_are_quiet(watch, complaints, trained, first, last):
    """At most one alarm in 90 days is allowed; six spans of 36 to 105 days have none."""
    found = watch(trained, first, last)
    assert complaints.drift.false_alarm_days == 90 and complaints.drift.false_alarms == 1
    assert [day for day, drifted in found.items() if drifted] == []
